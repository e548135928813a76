"""MAT files without MATLAB."""

from pathlib import Path
from typing import Any

import scipy.io

from gaze.errors import DataError


def read_mat(path: Path) -> dict[str, Any]:
    """Reads the variables of a MAT file; structs become objects with attributes, 1 x 1 arrays their element.

    Raises:
        DataError: the file is missing, damaged, or of version 7.3.
    """
    try:
        variables = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # scipy raises whatever the bytes made it stumble over
        raise DataError(f"cannot read {path.name} without MATLAB: {str(error).strip() or 'damaged'}") from error
    return {name: value for name, value in variables.items() if not name.startswith("__")}
