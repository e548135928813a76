import pickle
import tracemalloc
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest
from torch.utils.data import DataLoader

from gaze.data.layout import FORMAT_VERSION, TABLES
from gaze.data.store import FixationStore, StoreAttributes, photograph, write_store
from gaze.errors import DataError, OutputError
from gaze.fixations import FIELDS, Fixations, Stimulus

ATTRIBUTES = StoreAttributes("toy", "MIT", "drawn", 5.0, None, drop_first=True)


def make_stimulus(index, density=None):
    rng = np.random.default_rng(index)
    count = 0 if density is not None else index % 5 + 2
    fixations = Fixations.of(
        rng.uniform(0, 39, count),
        rng.uniform(0, 29, count),
        index,
        np.arange(count),
        rng.uniform(50, 500, count),
    )
    split = ("train", "val", "test")[index % 3]
    return Stimulus(f"bild_{index}_ä.jpg", rng.bytes(100 + index), 40 + index, 30, split, fixations, density)


@pytest.fixture
def path(tmp_path):
    write_store(tmp_path / "toy.h5", ATTRIBUTES, (make_stimulus(i) for i in range(12)))
    return tmp_path / "toy.h5"


def assert_same(read, written):
    assert (read.name, read.image, read.split) == (written.name, written.image, written.split)
    assert (read.width, read.height) == (written.width, written.height)
    for name in FIELDS:
        values, expected = getattr(read.fixations, name), getattr(written.fixations, name)
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)


def test_what_is_written_is_read_again(path):
    store = FixationStore(path)
    assert len(store) == 12
    assert store.attributes == ATTRIBUTES
    assert store.names[3] == "bild_3_ä.jpg"
    assert store.sizes[:2].tolist() == [[40, 30], [41, 30]]
    assert store.indices("val").tolist() == list(range(1, 12, 3))
    for i in (0, 7, 11):
        written = make_stimulus(i)
        assert_same(store[i], replace(written, fixations=written.fixations.without_first()))
        np.testing.assert_array_equal(store.fixations(i, raw=True).x, written.fixations.x)
    assert store[-1].name == store[11].name


def test_first_fixations_are_kept_where_the_set_says_so(tmp_path):
    attributes = replace(ATTRIBUTES, drop_first=False, pixels_per_degree=35.0, teacher="quality 1.0.0")
    write_store(tmp_path / "toy.h5", attributes, [make_stimulus(4)])
    store = FixationStore(tmp_path / "toy.h5")
    assert store.attributes == attributes
    assert_same(store[0], make_stimulus(4))


def with_gaze(name: str, fixations: Fixations, density=None) -> Stimulus:
    return replace(make_stimulus(0), name=name, fixations=fixations, density=density)


UNSEEN = {
    "first": Fixations.of([3, 4], [3, 4], [0, 1], 0),
    "outside": Fixations.of([-3, 40, 3], [3, 3, 30], 0, [1, 2, 3]),
    "nan": Fixations.of([np.nan], [3], 0, 1),
    "none": Fixations.of([], []),
}


def test_stimuli_that_nobody_looked_at_are_in_no_split_and_named_once(tmp_path, caplog):
    flat = np.full((30, 40), 1 / 1200, np.float32)
    seen = [with_gaze("seen", Fixations.of([3, 4], [3, 4], 0, [0, 1])), with_gaze("map", UNSEEN["none"], flat)]
    stimuli = [with_gaze(name, fixations) for name, fixations in UNSEEN.items()]
    write_store(tmp_path / "toy.h5", ATTRIBUTES, [seen[0], *stimuli, seen[1]])
    store = FixationStore(tmp_path / "toy.h5")
    for _ in range(2):
        assert store.indices("train").tolist() == [0, len(stimuli) + 1]
    (record,) = caplog.records
    assert record.getMessage().endswith("toy.h5: left out, as there is no gaze on them: first, outside, nan, none")
    assert len(store) == len(stimuli) + 2, "they stay readable"


def test_fixations_beside_their_image_or_that_are_no_numbers_are_left_out_and_told_of(tmp_path, caplog):
    x, y = [3, np.nan, 5, np.inf, -9, 40, 4], [3, 3, np.nan, 3, 3, 3, 29.4]
    write_store(tmp_path / "toy.h5", ATTRIBUTES, [with_gaze("a", Fixations.of(x, y, 0, range(1, 8)))])
    store = FixationStore(tmp_path / "toy.h5")
    assert store[0].fixations.x.tolist() == store.fixations(0, raw=True).x.tolist() == [3, 4]
    for _ in range(2):
        assert store.indices("train").tolist() == [0]
    (record,) = caplog.records
    assert record.getMessage().endswith("toy.h5: left out, as they are not on their image: 5 fixations")


def test_a_first_fixation_is_gaze_where_the_set_keeps_it(tmp_path, caplog):
    attributes = replace(ATTRIBUTES, drop_first=False)
    write_store(tmp_path / "toy.h5", attributes, [with_gaze(name, gaze) for name, gaze in UNSEEN.items()])
    assert FixationStore(tmp_path / "toy.h5").seen().tolist() == [True, False, False, False]


def test_a_teacher_s_store_is_seen_without_reading_its_densities(tmp_path, monkeypatch):
    flat = np.full((30, 40), 1 / 1200, np.float32)
    write_store(tmp_path / "toy.h5", replace(ATTRIBUTES, teacher="big 1.0"), [with_gaze("a", UNSEEN["none"], flat)])
    store = FixationStore(tmp_path / "toy.h5")
    monkeypatch.delattr(FixationStore, "_read")
    assert store.indices("train").tolist() == [0]


def test_a_density_comes_back_to_a_65535th_of_its_peak(tmp_path):
    density = np.random.default_rng(0).random((30, 40)).astype(np.float32) ** 8
    density /= density.sum()
    write_store(tmp_path / "toy.h5", ATTRIBUTES, [make_stimulus(0, density), make_stimulus(1)])
    store = FixationStore(tmp_path / "toy.h5")
    read = store[0].density
    assert read.dtype == np.float32
    assert read.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(read, density, atol=density.max() / 65535)
    assert len(store[0].fixations) == 0
    assert store[1].density is None


@pytest.mark.parametrize("index", [12, -13])
def test_an_index_out_of_range(path, index):
    with pytest.raises(IndexError, match=f"stimulus {index} of 12"):
        FixationStore(path)[index]


def test_an_unknown_split_is_refused(path):
    with pytest.raises(DataError, match="got 'dev'"):
        FixationStore(path).indices("dev")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(path, error):
    before = path.read_bytes()

    def stimuli():
        yield make_stimulus(0)
        raise error

    with pytest.raises(error):
        write_store(path, ATTRIBUTES, stimuli())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("stimuli", "message"),
    [
        ([], "no stimulus could be read"),
        ([make_stimulus(0), make_stimulus(0)], "bild_0_ä.jpg: this name came twice"),
        ([replace(make_stimulus(0), split="dev")], "split must be one of train, val, test"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, stimuli, message):
    with pytest.raises(DataError, match=message):
        write_store(tmp_path / "toy.h5", ATTRIBUTES, stimuli)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"toy\.h5: cannot be written \(File exists\)"):
        write_store(tmp_path / "file" / "toy.h5", ATTRIBUTES, [make_stimulus(0)])


def test_memory_does_not_grow_with_the_number_of_stimuli(tmp_path):
    def stimuli(count):
        for i in range(count):
            yield Stimulus(f"{i}", bytes(200_000), 40, 30, "train", make_stimulus(i).fixations)

    def peak(count):
        tracemalloc.start()
        write_store(tmp_path / f"{count}.h5", ATTRIBUTES, stimuli(count))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(5)
    few, many = peak(5), peak(60)
    assert many < few + 1_000_000, "60 stimuli of 200 kB must need no more memory than 5"


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(change):
    def apply(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def put(name, values, **options):
    """A table in the place of another."""

    def change(file):
        del file[name]
        file.create_dataset(name, data=values, **options)

    return edit(change)


def at(name, index, value):
    return edit(lambda file: file[name].__setitem__(index, value))


def attribute(name, value):
    return edit(lambda file: file.attrs.__setitem__(name, value))


def link(name, target):
    def change(file):
        file.move(name, "moved")
        file[name] = target

    return edit(change)


def raw_storage(name):
    """A table whose values lie in another file, as they are."""

    def apply(path):
        with h5py.File(path, "r+") as file:
            values = file[name][:]
            path.with_name("secret").write_bytes(values.tobytes())
            del file[name]
            where = [(str(path.with_name("secret")), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset(name, values.shape, values.dtype, external=where)

    return apply


def virtual(name):
    """A table whose values lie in another HDF5 file."""

    def apply(path):
        with h5py.File(path, "r+") as file:
            shape, dtype = file[name].shape, file[name].dtype
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource(str(path.with_name("secret.h5")), name, shape)
            del file[name]
            file.create_virtual_dataset(name, layout)

    return apply


def long(name):
    """A table that says it is longer than the file could be."""

    def change(file):
        columns = {table: len(values) for table, values in file.items() if table != "fixations"}
        for table, length in columns.items():
            file[table].resize(10**12 + length, axis=0)

    return edit(change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *[(edit(lambda file, name=name: file.pop(name)), f"damaged.*it has no table {name}") for name in TABLES],
        *[(link(name, h5py.ExternalLink("secret.h5", name)), f"{name} is a link, expected a table") for name in TABLES],
        *[(link(name, h5py.SoftLink("/moved")), f"{name} is a link, expected a table") for name in TABLES],
        (link("images", h5py.SoftLink("/nowhere")), "images is a link, expected a table"),
        *[(raw_storage(name), f"{name} lies in other files") for name in ("sizes", "offsets", "fixations")],
        *[(virtual(name), f"{name} lies in other files") for name in ("sizes", "fixations", "images")],
        (edit(lambda file: (file.pop("names"), file.create_group("names"))), "names is a group, expected a table"),
        (long("names"), "longer than the file"),
        (put("names", np.arange(12)), "names holds values of another type"),
        (put("splits", [b"train"] * 12, dtype="S5"), "splits holds values of another type"),
        (put("images", [b"a"] * 12), "images holds values of another type"),
        (put("densities", np.zeros(12)), "densities holds values of another type"),
        (put("sizes", np.full((12, 2), np.nan)), "sizes holds values of another type"),
        (put("offsets", np.full(13, np.nan)), "offsets holds values of another type"),
        (put("fixations", np.zeros((40, 5))), "fixations holds values of another type"),
        (put("sizes", np.zeros((12, 3), np.int32)), "different lengths"),
        (put("sizes", np.int32(3)), "different lengths"),
        (put("offsets", np.zeros(0, np.int64)), "different lengths"),
        (at("sizes", (3, 0), 0), "sizes are above 0, got 0"),
        (at("sizes", (3, 1), -5), "sizes are above 0, got -5"),
        (at("splits", 2, "holdout"), "a split is one of train, val, test, got 'holdout'"),
        (at("names", 2, "bild_3_ä.jpg"), "a name stands in it twice"),
        (at("names", 2, b"\xff\xfe"), "damaged"),
        (at("offsets", 0, 1), "different lengths"),
        (at("offsets", 5, 10**9), "different lengths"),
        (at("offsets", 12, -1), "different lengths"),
        (attribute("sigma_pixels", np.nan), "sigma_pixels: expected above 0, got nan"),
        (attribute("sigma_pixels", -1.0), "sigma_pixels: expected above 0, got -1"),
        (attribute("sigma_pixels", "wide"), "damaged"),
        (attribute("sigma_pixels", [1.0, 2.0]), "damaged"),
        (attribute("pixels_per_degree", np.inf), "pixels_per_degree: expected above 0, got inf"),
        (attribute("format_version", "one"), "damaged"),
        (lambda path: path.unlink(), "no such store"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_text("a letter"), "damaged"),
        (truncate, "damaged"),
        (edit(lambda file: file.attrs.pop("format")), "not a store of gaze"),
        (
            edit(lambda file: file.attrs.create("format_version", FORMAT_VERSION + 1)),
            "version 2, this",
        ),
        (edit(lambda file: file.attrs.pop("sigma_pixels")), "damaged"),
        (edit(lambda file: file.pop("names")), "damaged"),
        (edit(lambda file: file["images"].resize(11, axis=0)), "different lengths"),
        (edit(lambda file: file["fixations"].resize(3, axis=0)), "different lengths"),
    ],
)
def test_a_file_that_is_no_store_is_one_line(path, damage, message):
    damage(path)
    with pytest.raises(DataError, match=message) as error:
        FixationStore(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_link_to_another_file_is_refused_although_a_table_is_there(path):
    with h5py.File(path, "r+") as file, h5py.File(path.with_name("other.h5"), "w") as other:
        file.copy("images", other)
        del file["images"]
        file["images"] = h5py.ExternalLink("other.h5", "images")
    with pytest.raises(DataError, match="images is a link"):
        FixationStore(path)


DENSITY = np.full((30, 40), 1 / 1200, np.float32)


def png(values):
    return cv2.imencode(".png", values)[1].ravel()


@pytest.mark.parametrize(
    "encoded",
    [np.frombuffer(b"no picture", np.uint8), png(np.ones((30, 41), np.uint16)), png(np.zeros((30, 40), np.uint16)),
     png(np.ones((30, 40, 3), np.uint8)), png(np.ones((30, 40), np.uint16))[:40]],
    ids=["text", "size", "black", "color", "cut"],
)  # fmt: skip
def test_a_damaged_density_is_one_line(tmp_path, encoded):
    path = tmp_path / "toy.h5"
    write_store(path, ATTRIBUTES, [make_stimulus(0, DENSITY)])
    at("densities", 0, encoded)(path)
    with pytest.raises(DataError, match=r"toy\.h5: bild_0_ä\.jpg: its density is damaged; expected a grey PNG of 40 x"):
        FixationStore(path)[0]


@pytest.mark.parametrize(("size", "message"), [((40, 30), "40 x 30 pixels, expected 30 x 40, as its store says"),
                                               (None, "a.png: ")])  # fmt: skip
def test_a_photograph_is_as_its_store_says(size, message):
    image = png(np.zeros((*size[::-1], 3), np.uint8)).tobytes() if size else b"no picture"
    stimulus = Stimulus("a.png", image, 30, 40, "train", Fixations.of([], []))
    with pytest.raises(DataError, match=message) as caught:
        photograph(stimulus)
    assert "\n" not in str(caught.value)
    if size:
        assert photograph(replace(stimulus, width=40, height=30)).shape == (30, 40, 3)


def test_a_store_that_vanishes_while_open_is_an_error_of_ours(path):
    store = FixationStore(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot read"):
        store[0]


def test_a_pickled_store_opens_its_own_file(path):
    store = FixationStore(path)
    store[0]
    copy = pickle.loads(pickle.dumps(store))
    store.close()
    assert_same(copy[5], store[5])


def checksum(stimulus):
    return sum(stimulus.image), float(stimulus.fixations.x.sum())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(("method", "workers"), [("fork", 4), ("spawn", 2)])
def test_many_workers_read_at_once(path, method, workers):
    store = FixationStore(path)
    expected = [checksum(store[i]) for i in range(12)]  # the file is open here before the workers start
    loader = DataLoader(store, batch_size=None, num_workers=workers, multiprocessing_context=method)
    np.testing.assert_allclose([checksum(stimulus) for stimulus in loader], expected)
    assert method == "spawn" or store._file is None, "no file may be open across a fork"
    assert checksum(store[0]) == expected[0]


HEADS = (np.array([[1, 2, 3, 4], [5, 6, 7.5, 8]], np.float32), None, np.zeros((0, 4), np.float32))


@pytest.fixture
def labelled(tmp_path):
    """Two heads on the first, none on the third, and so on; nobody labelled those between."""
    stimuli = (replace(make_stimulus(i), heads=HEADS[i % 3]) for i in range(9))
    write_store(tmp_path / "heads.h5", ATTRIBUTES, stimuli)
    return tmp_path / "heads.h5"


def test_heads_are_read_as_they_were_written(labelled):
    store = FixationStore(labelled)
    assert store.head_counts.tolist() == [2, -1, 0] * 3
    for i in range(9):
        expected = HEADS[i % 3]
        for found in (store[i].heads, store.heads(i), store.heads(i - 9)):
            assert (found is None) == (expected is None)
            if expected is not None:
                np.testing.assert_array_equal(found, expected)


def test_a_store_from_before_heads_has_none_labelled(labelled):
    with h5py.File(labelled, "r+") as file:
        del file["heads"], file["head_counts"]
    store = FixationStore(labelled)
    assert store.head_counts.tolist() == [-1] * 9
    assert store[0].heads is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.__delitem__("heads"), "no table heads"),
        (lambda file: file.__delitem__("head_counts"), "no table head_counts"),
        (lambda file: file["heads"].resize(5, axis=0), "different lengths"),
        (lambda file: file["heads"].resize(3, axis=1), "different lengths"),
        (lambda file: file["head_counts"].resize(8, axis=0), "different lengths"),
        (lambda file: file["head_counts"].write_direct(np.full(9, -2, np.int32)), "different lengths"),
    ],
)
def test_damaged_tables_of_heads_are_named(labelled, damage, message):
    with h5py.File(labelled, "r+") as file:
        if message == "different lengths" and file["heads"].maxshape[1] == 4:
            boxes, rows = file["heads"][:], file["heads"].chunks
            del file["heads"]
            file.create_dataset("heads", data=boxes, maxshape=(None, None), chunks=rows)
        damage(file)
    with pytest.raises(DataError, match=message):
        FixationStore(labelled)
