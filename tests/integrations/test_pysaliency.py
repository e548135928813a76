"""Beside the real pysaliency: `python tests/integrations/environment.py pysaliency FOLDER` makes one and runs this.

pysaliency 0.2.22 calls `numpy.trapz` in its AUC, which NumPy 2.4 has no more: the fixture `trapz` gives it back.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import gaze
from gaze import Size, metrics
from gaze.errors import DataError, ImageError
from gaze.fixations import FIELDS, Fixations, Stimulus

if find_spec("pysaliency") is None:
    pytest.skip("pysaliency is not installed (tests/integrations/environment.py pysaliency)", allow_module_level=True)

import pysaliency

from gaze.data.layout import StoreAttributes
from gaze.data.readers.osie import read
from gaze.data.splits import hashed_split, shipped_splits
from gaze.data.store import FixationStore, photograph, write_store
from gaze.evaluation.bench import CENTER_BIAS, MODEL, UNIFORM, Bench
from gaze.evaluation.log_densities import recorded
from gaze.evaluation.run import SetScores, score_split
from gaze.evaluation.sources import open_source
from gaze.integrations.pysaliency import CenterBiasModel, GazeModel, StoreStimuli, from_pysaliency, to_pysaliency

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # `pysaliency.FileStimuli` leaves them

DOG = Path(__file__).parents[2] / "docs/dog.jpg"
OSIE = Path(os.environ.get("GAZE_SHARED", Path(__file__).parents[3] / "shared")) / "data/osie"
ATTRIBUTES = StoreAttributes("drawn", "MIT", "drawn by a test", 4.0, None, drop_first=True)
SPLITS = ("train",) * 4 + ("val",) * 3 + ("test",) * 4


def png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def drawn(number: int, split: str, told: bool = True) -> Stimulus:
    """Noise, 64 x 48 or 48 x 64, looked at by subject 2, twice, and 5, whose first fixation was beside it.

    Without `told` nobody knows who looked, and when.
    """
    random = np.random.default_rng(number)
    width, height = (48, 64) if number % 4 == 3 else (64, 48)
    image = png(random.integers(0, 256, (height, width, 3), np.uint8))
    x, y = random.uniform(-0.5, (width - 0.51, height - 0.51), (9, 2)).astype(np.float32).T
    x[:2], y[:2] = (-0.5, width - 0.51), (height - 0.51, -0.5)
    duration = random.uniform(80, 900, 9).astype(np.float32)
    duration[4] = np.nan
    who = {"subject": np.repeat((2, 2, 5), 3), "order": (0, 1, 2, 0, 1, 3, 1, 2, 4)} if told else {}
    heads = np.array([[1, 2, 30, 40]], np.float32) if number % 2 else None
    return Stimulus(
        f"Action/{number:03}.png",
        image,
        width,
        height,
        split,
        Fixations.of(x, y, duration=duration, **who),
        None,
        heads,
    )


def written(path: Path, stimuli: Iterator[Stimulus], attributes: StoreAttributes = ATTRIBUTES) -> FixationStore:
    write_store(path, attributes, stimuli)
    return FixationStore(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> FixationStore:
    path = tmp_path_factory.mktemp("store") / "drawn.h5"
    return written(path, (drawn(k, split) for k, split in enumerate(SPLITS)))


@pytest.fixture
def trapz(monkeypatch):
    if not hasattr(np, "trapz"):
        monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)


@pytest.fixture(scope="module")
def osie(tmp_path_factory) -> FixationStore:
    """The whole of OSIE, split by the lists that ship."""
    if not OSIE.is_dir():
        pytest.skip(f"no OSIE at {OSIE} (set GAZE_SHARED to the folder that holds data/)")
    splits = shipped_splits("osie")
    stimuli = (
        Stimulus(e.name, e.image.read_bytes(), 800, 600, splits[e.name], seen.select(seen.inside(800, 600)))
        for e in read(OSIE)
        if isinstance(seen := e.gaze(Size(800, 600)), Fixations)
    )
    attributes = StoreAttributes("osie", "MIT", "Xu et al. 2014", 24.0, None, drop_first=True)
    return written(tmp_path_factory.mktemp("osie") / "osie.h5", stimuli, attributes)


def same_stimuli(store: FixationStore, other: FixationStore) -> None:
    assert (other.names, other.splits.tolist(), other.sizes.tolist()) == (
        store.names, store.splits.tolist(), store.sizes.tolist(),
    )  # fmt: skip
    for index in range(len(store)):
        assert other[index].image == store[index].image
        for field in FIELDS:
            kept, came = (getattr(each.fixations(index, raw=True), field) for each in (store, other))
            assert kept.dtype == came.dtype
            np.testing.assert_array_equal(came, kept, field)
        np.testing.assert_equal(other.heads(index), store.heads(index))


# maps and metrics


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_the_metrics_of_maps_agree(seed: int, dtype: type, trapz):
    random = np.random.default_rng(seed)
    one, two = (np.exp(random.normal(0, 2, (60, 80))).astype(dtype) for _ in range(2))
    one, two = (each / each.sum() for each in (one, two))
    x, y = random.integers(0, 80, 70), random.integers(0, 60, 70)
    assert metrics.nss(one, x, y) == pytest.approx(pysaliency.metrics.NSS(one, x, y).mean(), abs=1e-6)
    assert metrics.cc(one, two) == pytest.approx(pysaliency.metrics.CC(one.astype(float), two.astype(float)), abs=1e-6)
    assert metrics.sim(one, two) == pytest.approx(pysaliency.metrics.SIM(one, two), abs=1e-6)
    theirs = pysaliency.metrics.image_based_kl_divergence(one.astype(float), two.astype(float))
    assert metrics.kl(one, two) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("levels", [3, 40, 10**9])
def test_auc_agrees_to_the_last_digit_ties_and_all(levels: int, trapz):
    from pysaliency.roc import general_roc, general_rocs_per_positive

    random = np.random.default_rng(levels)
    for count in (1, 7, 24, 25, 300):
        saliency = random.integers(0, levels, (60, 80)).astype(float)
        x, y = random.integers(0, 80, count), random.integers(0, 60, count)
        ours = metrics.auc(saliency, x, y)
        assert ours == pytest.approx(general_roc(saliency[y, x], saliency.ravel())[0], rel=0, abs=1e-15)
        assert ours == pytest.approx(general_rocs_per_positive(saliency[y, x], saliency.ravel()).mean(), abs=1e-15)


@pytest.mark.skipif(hasattr(np, "trapz"), reason="this NumPy has what pysaliency's AUC asks for")
def test_without_what_numpy_dropped_pysaliency_has_no_auc(store: FixationStore):
    with pytest.raises(AttributeError, match="trapz"):
        pysaliency.DensitySaliencyMapModel(pysaliency.UniformModel()).AUC(*to_pysaliency(store, "test"))


# the model


@pytest.mark.parametrize("model", ["fast", "quality"])
def test_a_model_answers_as_gaze_does(model: str):
    with Image.open(DOG) as dog:
        pixels = np.asarray(dog.convert("RGB"))
    log_density = GazeModel(model, threads=2).log_density(pixels)
    np.testing.assert_allclose(log_density, gaze.Predictor(model, threads=2).log_density(pixels), atol=1e-4)
    assert (log_density.shape, log_density.dtype) == (pixels.shape[:2], np.float32)
    assert np.exp(log_density.astype(float)).sum() == pytest.approx(1, abs=1e-5)


def test_the_model_is_quality_unless_another_is_named():
    assert (GazeModel().predictor.card.name, GazeModel("fast").predictor.card.name) == ("quality", "fast")
    with pytest.raises(gaze.ConfigError, match="nosuch"):
        GazeModel("nosuch")


def test_stimuli_of_any_kind():
    model = GazeModel("fast", caching=False)
    rgb = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    grey, alpha = rgb[..., 0], np.dstack([rgb, np.full((60, 80), 255, np.uint8)])
    for other in (grey, grey[..., None]):
        np.testing.assert_array_equal(model.log_density(other), model.log_density(np.dstack([grey] * 3)))
    np.testing.assert_array_equal(model.log_density(alpha), model.log_density(rgb))
    alpha[..., 3] = 0
    np.testing.assert_array_equal(model.log_density(alpha), model.log_density(np.full_like(rgb, 255)))
    for bad in (rgb.astype(float), rgb[None], rgb[:0], grey[:0], np.dstack([rgb] * 2)):
        with pytest.raises(ImageError, match=r"^image: expected .*, got "):
            model.log_density(bad)


def test_what_is_kept_is_what_pysaliency_is_told(tmp_path):
    model = GazeModel("fast", cache_location=str(tmp_path), memory_cache_size=1)
    model.log_density(np.zeros((48, 64, 3), np.uint8))
    assert len(list(tmp_path.iterdir())) == 1


# stores


def test_stimuli_are_the_photographs_of_the_store(store: FixationStore):
    stimuli, fixations = to_pysaliency(store, "test")
    indices = store.indices("test")
    assert stimuli.attributes["filenames"] == [store.names[index] for index in indices]
    assert list(stimuli.sizes) == [tuple(store.sizes[index][::-1]) for index in indices]
    for stimulus, index in zip(stimuli, indices, strict=True):
        np.testing.assert_array_equal(stimulus.stimulus_data, photograph(store[int(index)]))
        assert stimulus.shape == stimulus.stimulus_data.shape
    assert len(fixations) == sum(len(store.fixations(int(index))) for index in indices)
    assert len({stimulus.stimulus_id for stimulus in stimuli}) == len(indices)


def test_some_of_the_stimuli(store: FixationStore):
    stimuli = to_pysaliency(store, "test")[0]
    mask = np.array([False, True, False, True])
    for chosen in (stimuli[1::2], stimuli[[1, 3]], stimuli[np.array([1, 3])], stimuli[mask]):
        assert isinstance(chosen, StoreStimuli)
        assert chosen.attributes["filenames"] == ["Action/008.png", "Action/010.png"]
        np.testing.assert_array_equal(chosen[1].stimulus_data, stimuli[3].stimulus_data)
    with pytest.raises(IndexError):
        stimuli[4]


def test_both_count_the_same_pixels(store: FixationStore):
    for raw in (False, True):
        fixations = to_pysaliency(store, raw=raw)[1]
        ours = Fixations.join([store.fixations(index, raw) for index in range(len(store))])
        np.testing.assert_array_equal(fixations.x_int, np.floor(ours.x.astype(float) + 0.5))
        np.testing.assert_array_equal(fixations.y_int, np.floor(ours.y.astype(float) + 0.5))
        np.testing.assert_array_equal(fixations.subjects, ours.subject)
        np.testing.assert_array_equal(fixations.order, ours.order)
        np.testing.assert_allclose(fixations.duration, ours.duration / 1000, rtol=1e-6)


def test_a_viewing_is_a_scanpath(store: FixationStore):
    fixations = to_pysaliency(store, raw=True)[1]
    assert fixations.train_ns.tolist() == np.repeat(np.arange(11), 3).tolist()
    assert fixations.train_subjects.tolist() == [2, 2, 5] * 11
    np.testing.assert_array_equal(fixations.train_ts[:3], [[0, 1, 2], [0, 1, 3], [1, 2, 4]])
    assert fixations.lengths[:9].tolist() == [0, 1, 2] * 3
    assert fixations.x_hist[2].tolist() == fixations.x[:2].tolist()


@pytest.mark.parametrize("told", [True, False])
def test_there_and_back_a_store_is_the_same(tmp_path, told: bool):
    store = written(tmp_path / "a.h5", (drawn(k, split, told) for k, split in enumerate(SPLITS)))
    stimuli, fixations = to_pysaliency(store, raw=True)
    assert isinstance(fixations, pysaliency.FixationTrains) is told
    same_stimuli(store, written(tmp_path / "b.h5", from_pysaliency(stimuli, fixations)))
    part = written(tmp_path / "c.h5", from_pysaliency(*to_pysaliency(store, "val", raw=True)))
    assert part.names == [store.names[index] for index in store.indices("val")]


def test_files_are_kept_as_they_are_and_lie_as_pysaliency_shows_them(tmp_path):
    (tmp_path / "set/Action").mkdir(parents=True)
    paths = [tmp_path / "set" / name for name in ("Action/dog.jpg", "turned.jpg", "grey.png")]
    paths[0].write_bytes(DOG.read_bytes())
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(DOG) as dog:
        dog.resize((90, 60)).save(paths[1], exif=exif, quality=95)
        dog.resize((40, 30)).convert("L").save(paths[2])
    stimuli = pysaliency.FileStimuli([str(path) for path in paths])
    fixations = pysaliency.FixationTrains.from_fixation_trains(
        [[5.5, 7.25], [80.5, 95], [39.9]], [[9.5, 0.5], [10, 20], [29.9]], [[0, 1], [0, 1], [0]], [0, 1, 2], [0, 3, 1]
    )
    store = written(tmp_path / "a.h5", from_pysaliency(stimuli, fixations))
    assert store.names == ["Action/dog.jpg", "turned.jpg", "grey.png"]
    assert store.splits.tolist() == [hashed_split(name) for name in store.names]
    assert store[0].image == DOG.read_bytes()
    assert store.sizes.tolist()[1:] == [[90, 60], [40, 30]]  # as it lies in its file, and so its fixations
    np.testing.assert_array_equal(photograph(store[1]), stimuli[1].stimulus_data)
    found = [store.fixations(index, raw=True) for index in range(3)]
    assert [each.x.tolist() for each in found] == [[5, 6.75], [80], [np.float32(39.4)]]  # 95 lies beside its image
    assert [each.order.tolist() for each in found] == [[0, 1], [0], [0]]
    assert [each.subject.tolist() for each in found] == [[0, 0], [3], [1]]
    assert np.isnan(found[0].duration).all()


def test_arrays_become_files_and_what_nobody_looked_at_is_left_out(tmp_path, caplog):
    pixels = np.random.default_rng(2).integers(0, 256, (3, 20, 30, 3), np.uint8)
    stimuli = pysaliency.Stimuli([pixels[0], pixels[1], pixels[2][..., 0]])
    fixations = pysaliency.Fixations.create_without_history([3.0, 29.5, 31.0], [4.0, 0.5, 1.0], np.array([0, 2, 2]))
    splits = {f"{n}.png": split for n, split in enumerate(("train", "val", "test"))}
    store = written(tmp_path / "a.h5", from_pysaliency(stimuli, fixations, splits))
    assert (store.names, store.splits.tolist()) == (["0.png", "2.png"], ["train", "test"])
    np.testing.assert_array_equal(photograph(store[0]), pixels[0])
    np.testing.assert_array_equal(photograph(store[1]), np.dstack([pixels[2][..., 0]] * 3))
    assert store.fixations(0, raw=True).order.tolist() == [-1]  # so no first one is left out
    assert [record.getMessage() for record in caplog.records] == [
        "left out, as they are not on their image: 1 fixations",
        "left out, as there is no fixation on them: 1.png",
    ]


def test_what_does_not_fit_is_one_line(store: FixationStore, tmp_path):
    stimuli, fixations = to_pysaliency(store, "test")
    with pytest.raises(DataError, match=r"^fixations: expected stimuli 0 to 1, got 0 to 3$"):
        next(from_pysaliency(stimuli[:2], fixations))
    with pytest.raises(DataError, match=r"^splits: expected .*, got none for Action/008\.png$"):
        next(from_pysaliency(stimuli, fixations, {"Action/007.png": "test"}))
    with pytest.raises(DataError, match=r"split must be one of train, val, test, got 'holdout'$"):
        to_pysaliency(store, "holdout")
    (tmp_path / "a.png").write_bytes(store[0].image)
    files = pysaliency.FileStimuli([str(tmp_path / "a.png")])
    for content, reason in ((b"none", "cannot be read"), (store[3].image, "48 x 64 pixels, expected 64 x 48")):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(DataError, match=rf"^a\.png: {reason}") as caught:
            next(from_pysaliency(files, fixations[fixations.n == 0]))
        assert "\n" not in str(caught.value)
    only = Stimulus("a.png", store[0].image, 64, 48, "test", Fixations.of([], []), np.full((48, 64), 1, np.float32))
    with pytest.raises(DataError, match=r"d\.h5: expected fixations for pysaliency, there are none in the split test$"):
        to_pysaliency(written(tmp_path / "d.h5", iter([only])), "test")


# what gaze.evaluate exports


def test_the_real_hdf5_model_reads_what_is_exported(store: FixationStore, tmp_path):
    with h5py.File(tmp_path / "densities.h5", "w") as file:
        score_split(Bench(store), recorded(open_source("fast", None), file), "test", 3)
    stimuli, fixations = to_pysaliency(store, "test")
    model, ours = pysaliency.HDF5Model(stimuli, str(tmp_path / "densities.h5")), GazeModel("fast")
    for stimulus in stimuli:
        np.testing.assert_allclose(model.log_density(stimulus), ours.log_density(stimulus), atol=1e-5)
    assert model.information_gain(stimuli, fixations) == pytest.approx(ours.information_gain(stimuli, fixations))
    (tmp_path / "set/Action").mkdir(parents=True)
    for stimulus, name in zip(stimuli, stimuli.attributes["filenames"], strict=True):
        Image.fromarray(stimulus.stimulus_data).save(tmp_path / "set" / name)
    files = pysaliency.FileStimuli([str(tmp_path / "set" / name) for name in stimuli.attributes["filenames"]])
    model = pysaliency.HDF5Model(files, str(tmp_path / "densities.h5"))
    np.testing.assert_allclose(model.log_density(files[2]), ours.log_density(stimuli[2]), atol=1e-5)


def test_pysaliency_exports_our_model_for_photographs_without_gaze(store: FixationStore, tmp_path):
    stimuli = to_pysaliency(store, "test")[0]
    pysaliency.export_model_to_hdf5(GazeModel("fast"), stimuli, str(tmp_path / "theirs.h5"))
    with h5py.File(tmp_path / "theirs.h5") as file:
        assert list(file) == ["007.png", "008.png", "009.png", "010.png"]  # less the folder that all share
        np.testing.assert_array_equal(file["008.png"], GazeModel("fast").log_density(stimuli[1]))


# scores


@pytest.fixture(scope="module")
def center_bias(osie: FixationStore) -> CenterBiasModel:
    return CenterBiasModel(osie)


def by_image(values: np.ndarray, fixations: pysaliency.Fixations) -> np.ndarray:
    """The mean of each image's fixations, as gaze averages; pysaliency's `average="image"` needs pandas."""
    return np.bincount(fixations.n, values) / np.bincount(fixations.n)


def of_images(scores: SetScores, row: str, metric: str) -> np.ndarray:
    return scores.values[row][metric]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("model", ["fast", "quality"])
def test_scores_on_osie_are_those_of_gaze_evaluate(osie: FixationStore, center_bias: CenterBiasModel, model, trapz):
    """Image by image, given what gaze.evaluate counts.

    That is: no first fixations, the same pixels, the mean over images of the mean over fixations, its center bias as
    the baseline of information gain, every pixel of the image as AUC's negatives.
    """
    scores = score_split(Bench(osie), open_source(model, None), "test", 8)
    stimuli, fixations = to_pysaliency(osie, "test")
    log_densities = GazeModel(model, threads=os.cpu_count() or 1)
    densities = pysaliency.DensitySaliencyMapModel(log_densities)
    assert len(fixations) == scores.fixations
    auc = np.array(densities.AUC_per_image(stimuli, fixations))
    np.testing.assert_allclose(auc, of_images(scores, MODEL, "auc"), rtol=0, atol=1e-6)
    nss = [
        pysaliency.metrics.NSS(densities.saliency_map(stimulus), own.x_int, own.y_int).mean()
        for n, stimulus in enumerate(stimuli)
        for own in [fixations[fixations.n == n]]
    ]
    np.testing.assert_allclose(nss, of_images(scores, MODEL, "nss"), rtol=0, atol=1e-4)
    gain = by_image(log_densities.information_gains(stimuli, fixations, center_bias), fixations)
    np.testing.assert_allclose(gain, of_images(scores, MODEL, "information_gain"), rtol=0, atol=1e-4)
    over_uniform = by_image(log_densities.information_gains(stimuli, fixations), fixations)
    apart = of_images(scores, MODEL, "information_gain") - of_images(scores, UNIFORM, "information_gain")
    np.testing.assert_allclose(over_uniform, apart, rtol=0, atol=1e-4)
    assert of_images(scores, CENTER_BIAS, "information_gain").tolist() == [0] * len(stimuli)


@pytest.mark.slow
@pytest.mark.shared
def test_what_would_make_scores_differ(osie: FixationStore, center_bias: CenterBiasModel):
    """What `test_scores_on_osie_are_those_of_gaze_evaluate` holds equal, each alone, moves a score by 1e-3 and more."""
    stimuli, fixations = to_pysaliency(osie, "test")
    raw = to_pysaliency(osie, "test", raw=True)[1]
    cut_off = fixations.copy()
    cut_off.x, cut_off.y = cut_off.x - 0.5, cut_off.y - 0.5
    model = GazeModel("fast", threads=os.cpu_count() or 1)

    def gains(fixations: pysaliency.Fixations, baseline: pysaliency.Model = center_bias) -> np.ndarray:
        return model.information_gains(stimuli, fixations, baseline)

    def nss(fixations: pysaliency.Fixations, n: int) -> float:
        own = fixations[fixations.n == n]
        return pysaliency.metrics.NSS(np.exp(model.log_density(stimuli[n])), own.x_int, own.y_int).mean()

    gain = by_image(gains(fixations), fixations).mean()
    assert by_image(gains(raw), raw).mean() < gain - 1e-2  # people begin in the middle, which the baseline knows
    assert gains(fixations).mean() > gain + 1e-3  # an image counts for as many fixations as it has
    assert by_image(gains(fixations, pysaliency.UniformModel()), fixations).mean() > gain + 0.1  # pysaliency's baseline
    moved = np.mean([nss(cut_off, n) - nss(fixations, n) for n in range(len(stimuli))])
    assert -1e-2 < moved < -1e-3  # half a pixel up and to the left
