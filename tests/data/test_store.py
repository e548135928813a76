import pickle
import tracemalloc
from dataclasses import replace

import h5py
import numpy as np
import pytest
from torch.utils.data import DataLoader

from gaze.data.layout import FORMAT_VERSION
from gaze.data.store import FixationStore, StoreAttributes, write_store
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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
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
