"""EyeCrowd: Jiang, Xu, Zhao, "Saliency in crowd", ECCV 2014."""

from pathlib import Path

from gaze.data.readers import folder, osie
from gaze.data.readers.entry import READERS, Entry
from gaze.data.readers.faces import with_heads

LAYOUT = f"EyeCrowd's data/stimuli/*.jpg and data/eye/fixations.mat, or {folder.LAYOUT}"


@READERS.register("eyecrowd")
def read(root: Path) -> list[Entry]:
    """Lists the images as the authors laid them out or, where there is no `eye/fixations.mat`, as the reader `folder`.

    The authors' images are 1024 x 768. Their coordinates are taken as 0-based, as OSIE's from the same laboratory: of
    126,348 fixations 13 lie at 1023.5 or 767.5 and beyond, and are outside. The heads that they labelled are read from
    `faces.csv`, where that lies beside the images' folder.

    Raises:
        DataError: the files are not there, or are damaged or laid out differently.
    """
    entries = osie.read_official(root, LAYOUT) if osie.has_mat(root) else folder.read_folder(root, LAYOUT)
    return with_heads(entries, root, root / "data")
