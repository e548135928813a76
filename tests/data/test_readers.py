import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import gaze
from gaze.data.readers import READERS
from gaze.data.readers.entry import Entry
from gaze.errors import DataError
from gaze.fixations import Fixations
from gaze.geometry import Size

SIZE = Size(32, 24)


def rows(fixations: Fixations) -> list[tuple]:
    columns = (fixations.x, fixations.y, fixations.subject, fixations.order)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def by_name(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("osie", "stimuli/*.jpg and eye/fixations.mat"),
        ("salicon", "images/{train,val}/*.jpg and fixations/{train,val}/*.mat"),
        ("mit1003", "ALLSTIMULI/*.jpeg with DATA/<subject>/*.mat"),
        ("cat2000", "trainSet/Stimuli/<category>/*.jpg"),
        ("folder", "images in images/, in stimuli/ or in the folder itself, and fixations.csv"),
    ],
)
def test_a_wrong_root_is_one_line_with_the_layout_expected(tmp_path, name, layout):
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError) as error:
            READERS[name](root)
        assert f"data.root={root}: expected" in str(error.value)
        assert layout in str(error.value)
        assert "\n" not in str(error.value)


class TestOsie:
    def write(self, root, draw, cells):
        for name in ("1001.jpg", "1002.jpg"):
            draw(root / "stimuli" / name)
        subjects = [
            {"fix_x": [1.5, 3.0], "fix_y": [2.0, 4.0], "fix_duration": [100, 200]},
            {"fix_x": [7.0], "fix_y": [8.0], "fix_duration": [300]},
        ]
        (root / "eye").mkdir()
        viewings = cells([{"img": "1001.jpg", "subjects": cells(subjects)}])
        savemat(root / "eye" / "fixations.mat", {"fixations": viewings})

    def test_viewings_are_read_as_they_are(self, tmp_path, draw, cells):
        self.write(tmp_path, draw, cells)
        entries = by_name(READERS["osie"](tmp_path))
        fixations = entries["1001.jpg"].gaze(SIZE)
        assert rows(fixations) == [(1.5, 2, 0, 0), (3, 4, 0, 1), (7, 8, 1, 0)]
        assert fixations.duration.tolist() == [100, 200, 300]

    def test_an_image_without_viewings_says_so(self, tmp_path, draw, cells):
        self.write(tmp_path, draw, cells)
        with pytest.raises(DataError, match="does not list this image"):
            by_name(READERS["osie"](tmp_path))["1002.jpg"].gaze(SIZE)

    @pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", b"\x89HDF\r\n\x1a\n"])
    def test_a_damaged_mat_file_is_named(self, tmp_path, draw, cells, content):
        self.write(tmp_path, draw, cells)
        (tmp_path / "eye" / "fixations.mat").write_bytes(content)
        with pytest.raises(DataError, match=r"fixations\.mat"):
            READERS["osie"](tmp_path)

    def test_another_mat_file_is_named(self, tmp_path, draw, cells):
        self.write(tmp_path, draw, cells)
        savemat(tmp_path / "eye" / "fixations.mat", {"other": 1})
        with pytest.raises(DataError, match=r"expected fixations\{i\} with img and subjects"):
            READERS["osie"](tmp_path)

    @pytest.mark.shared
    def test_the_real_set(self, shared):
        entries = READERS["osie"](shared / "data" / "osie")
        viewings = [entry.gaze(Size(800, 600)) for entry in entries]
        assert len(entries) == 700
        assert sum(len(fixations) for fixations in viewings) == 98_321
        assert all(set(fixations.subject) == set(range(15)) for fixations in viewings)
        assert all(fixations.inside(800, 600).all() for fixations in viewings)


class TestSalicon:
    def gaze(self, observers):
        dtype = [("location", object), ("timestamp", object), ("fixations", object)]
        array = np.empty((len(observers), 1), dtype)
        for i, fixations in enumerate(observers):
            array[i, 0] = (np.ones((5, 2)), np.arange(5.0), np.array(fixations, np.uint16).reshape(-1, 2))
        return array

    def write(self, root, draw, observers, resolution=(24, 32)):
        draw(root / "images" / "train" / "a.jpg")
        draw(root / "images" / "val" / "b.jpg")
        for split, name in (("train", "a"), ("val", "b")):
            folder = root / "fixations" / split
            folder.mkdir(parents=True)
            content = {"image": name, "resolution": resolution, "gaze": self.gaze(observers)}
            savemat(folder / f"{name}.mat", content)

    def test_mat_files_are_1_based_and_clipped_to_the_image(self, tmp_path, draw):
        self.write(tmp_path, draw, [[[1, 1], [32, 24]], [], [[5, 7]], [[40, 30], [0, 3]]])
        entries = READERS["salicon"](tmp_path)
        assert [(entry.name, entry.split) for entry in entries] == [("a.jpg", "train"), ("b.jpg", "val")]
        found = rows(entries[0].gaze(SIZE))
        assert found == [(0, 0, 0, 0), (31, 23, 0, 1), (4, 6, 2, 0), (31, 23, 3, 0), (0, 2, 3, 1)]

    def test_one_observer_is_a_list_too(self, tmp_path, draw):
        self.write(tmp_path, draw, [[[2, 3]]])
        assert rows(READERS["salicon"](tmp_path)[0].gaze(SIZE)) == [(1, 2, 0, 0)]

    def test_a_mat_file_for_another_size_is_refused(self, tmp_path, draw):
        self.write(tmp_path, draw, [[[2, 3]]], resolution=(480, 640))
        with pytest.raises(DataError, match="is for 640 x 480, the image is 32 x 24"):
            READERS["salicon"](tmp_path)[0].gaze(SIZE)

    def annotations(self, root, fixations_a=((3, 5),)):
        content = {
            "info": {"description": "with a [ and a { inside"},
            "images": [{"id": 9, "file_name": "a.jpg"}, {"id": 4, "file_name": "b.jpg"}],
            "annotations": [
                {"image_id": 4, "worker_id": 70, "id": 0, "fixations": [[1, 1], [24, 32]]},
                {"image_id": 9, "worker_id": 71, "id": 1, "fixations": fixations_a},
                {"image_id": 4, "worker_id": 72, "id": 2, "fixations": []},
            ],
        }
        (root / "fixations_train2014.json").write_text(json.dumps(content))

    def test_json_is_1_based_row_and_column(self, tmp_path, draw):
        draw(tmp_path / "images" / "train" / "a.jpg")
        draw(tmp_path / "images" / "train" / "b.jpg")
        self.annotations(tmp_path)
        entries = READERS["salicon"](tmp_path)
        assert rows(entries[0].gaze(SIZE)) == [(4, 2, 71, 0)]
        assert rows(entries[1].gaze(SIZE)) == [(0, 0, 70, 0), (31, 23, 70, 1)]

    def test_a_damaged_annotation_is_an_error_of_its_image(self, tmp_path, draw):
        draw(tmp_path / "images" / "train" / "a.jpg")
        self.annotations(tmp_path, fixations_a=[[1, 2, 3]])
        with pytest.raises(DataError, match=r"an annotation of a\.jpg is damaged"):
            READERS["salicon"](tmp_path)[0].gaze(SIZE)

    @pytest.mark.parametrize("content", ["", "{}", '{"images": [', '{"images": [], "annotations": [{"image_id": 3'])
    def test_a_damaged_json_is_named(self, tmp_path, draw, content):
        draw(tmp_path / "images" / "train" / "a.jpg")
        (tmp_path / "fixations_train2014.json").write_text(content)
        with pytest.raises(DataError, match=r"fixations_train2014\.json: not a file of SALICON"):
            READERS["salicon"](tmp_path)

    def test_png_points_come_before_png_maps(self, tmp_path, draw):
        mask = np.zeros((24, 32), np.uint8)
        mask[3, 5] = 255
        for name in ("a", "b"):
            draw(tmp_path / "images" / "train" / f"{name}.jpg")
            draw(tmp_path / "maps" / "train" / f"{name}.png", values=mask)
        draw(tmp_path / "fixations" / "train" / "a.png", values=mask)
        first, second = READERS["salicon"](tmp_path)
        assert rows(first.gaze(SIZE)) == [(5, 3, -1, -1)]
        np.testing.assert_array_equal(second.gaze(SIZE), mask)

    def test_an_image_without_gaze_says_so(self, tmp_path, draw):
        self.write(tmp_path, draw, [[[2, 3]]])
        draw(tmp_path / "images" / "train" / "c.jpg")
        with pytest.raises(DataError, match="no fixation map and no blurred map"):
            by_name(READERS["salicon"](tmp_path))["c.jpg"].gaze(SIZE)

    @pytest.mark.shared
    def test_the_real_sample(self, shared):
        root, size = shared / "data" / "salicon", Size(640, 480)
        entries = by_name(READERS["salicon"](root))
        content = json.loads((root / "fixations_train2014examples.json").read_text())
        names = {image["id"]: image["file_name"] for image in content["images"]}
        assert entries.keys() == {path.name for path in (root / "images").rglob("*.jpg")}
        for identity, name in names.items():
            expected = [a["fixations"] for a in content["annotations"] if a["image_id"] == identity]
            found = entries[name].gaze(size)
            np.testing.assert_array_equal(np.column_stack([found.y, found.x]) + 1, np.concatenate(expected))
        other = next(entry for name, entry in entries.items() if name not in names.values())
        assert len(other.gaze(size)) > 100
        assert other.gaze(size).inside(640, 480).all()


class TestCat2000:
    def write(self, root, draw, **variables):
        draw(root / "trainSet" / "Stimuli" / "Action" / "001.jpg")
        draw(root / "trainSet" / "Stimuli" / "Action" / "Output" / "001.jpg")
        folder = root / "trainSet" / "FIXATIONLOCS" / "Action"
        folder.mkdir(parents=True)
        savemat(folder / "001.mat", variables)

    def test_points_are_the_pixels_that_are_set(self, tmp_path, draw):
        mask = np.zeros((24, 32), np.uint8)
        mask[23, 0] = mask[1, 31] = 1
        self.write(tmp_path, draw, fixLocs=mask)
        (entry,) = READERS["cat2000"](tmp_path)
        assert entry.name == "Action/001.jpg"
        assert rows(entry.gaze(SIZE)) == [(31, 1, -1, -1), (0, 23, -1, -1)]

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({"fixLocs": np.zeros((10, 10))}, "10 x 10, the image 32 x 24"),
            ({"a": np.zeros((24, 32)), "b": np.zeros((24, 32))}, "expected one binary map, found 2"),
            ({}, "found 0"),
        ],
    )
    def test_another_map_is_refused(self, tmp_path, draw, variables, message):
        self.write(tmp_path, draw, **variables)
        with pytest.raises(DataError, match=message):
            READERS["cat2000"](tmp_path)[0].gaze(SIZE)

    def test_a_missing_map_is_named(self, tmp_path, draw):
        self.write(tmp_path, draw)
        (tmp_path / "trainSet" / "FIXATIONLOCS" / "Action" / "001.mat").unlink()
        with pytest.raises(DataError, match=r"001\.mat"):
            READERS["cat2000"](tmp_path)[0].gaze(SIZE)


class TestMit1003:
    def samples(self, root, subject, x, y, name="i05june"):
        (root / "DATA" / subject).mkdir(parents=True)
        samples = np.full((48, 2), (float(x), float(y)))
        savemat(root / "DATA" / subject / f"{name}.mat", {name: {"DATA": {"eyeData": samples}}})

    def test_fixations_are_found_in_the_raw_samples(self, tmp_path, draw):
        draw(tmp_path / "ALLSTIMULI" / "i05june.jpeg")
        self.samples(tmp_path, "ab", 10, 12)
        self.samples(tmp_path, "cd", 20, 5)
        (entry,) = READERS["mit1003"](tmp_path)
        fixations = entry.gaze(SIZE)
        assert entry.name == "i05june.jpeg"
        assert rows(fixations) == [(10, 12, 0, 0), (20, 5, 1, 0)]
        assert fixations.duration.tolist() == [200, 200]

    def test_a_struct_of_another_form_is_named(self, tmp_path, draw):
        draw(tmp_path / "ALLSTIMULI" / "i05june.jpeg")
        self.samples(tmp_path, "ab", 10, 12)
        savemat(tmp_path / "DATA" / "ab" / "i05june.mat", {"i05june": 3})
        with pytest.raises(DataError, match=r"ab/i05june\.mat: expected one struct with DATA\.eyeData"):
            READERS["mit1003"](tmp_path)[0].gaze(SIZE)

    def test_without_samples_the_published_maps_are_read(self, tmp_path, draw):
        mask = np.zeros((24, 32), np.uint8)
        mask[4, 6] = mask[20, 30] = 255
        for name in ("a", "b", "c"):
            draw(tmp_path / "ALLSTIMULI" / f"{name}.jpeg")
        draw(tmp_path / "ALLFIXATIONMAPS" / "a_fixPts.jpg", values=mask)
        draw(tmp_path / "ALLFIXATIONMAPS" / "a_fixMap.jpg", values=mask)
        draw(tmp_path / "ALLFIXATIONMAPS" / "b_fixMap.jpg", values=np.full((24, 32), 7, np.uint8))
        points, blurred, nothing = READERS["mit1003"](tmp_path)
        assert rows(points.gaze(SIZE)) == [(6, 4, -1, -1), (30, 20, -1, -1)]
        np.testing.assert_array_equal(blurred.gaze(SIZE), 7)
        with pytest.raises(DataError, match="no map in ALLFIXATIONMAPS/"):
            nothing.gaze(SIZE)

    def test_fixatons_layout(self, tmp_path, draw):
        for name in ("a.jpeg", "b.jpeg", "c.jpeg"):
            draw(tmp_path / "STIMULI" / name)
        for folder, subject, text in (
            ("a", "zoe", "1.5 2 0.0 0.25\n3 4 0.3 0.4\n"),
            ("a", "ann", ""),
            ("b.jpeg", "ann", "5 6 0 1\n"),
        ):
            (tmp_path / "SCANPATHS" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "SCANPATHS" / folder / subject).write_text(text)
        first, second, third = READERS["mit1003"](tmp_path)
        fixations = first.gaze(SIZE)
        assert rows(fixations) == [(1.5, 2, 1, 0), (3, 4, 1, 1)]
        np.testing.assert_allclose(fixations.duration, [250, 100], rtol=1e-5)
        assert rows(second.gaze(SIZE)) == [(5, 6, 0, 0)]
        with pytest.raises(DataError, match="no folder of this name in SCANPATHS/"):
            third.gaze(SIZE)

    @pytest.mark.parametrize("text", ["1 2 3\n", "1 2 three 4\n"])
    def test_a_scanpath_of_another_form_is_named(self, tmp_path, draw, text):
        draw(tmp_path / "STIMULI" / "a.jpeg")
        (tmp_path / "SCANPATHS" / "a").mkdir(parents=True)
        (tmp_path / "SCANPATHS" / "a" / "ann").write_text(text)
        with pytest.raises(DataError, match="ann: expected rows of x y t_start t_end"):
            READERS["mit1003"](tmp_path)[0].gaze(SIZE)


class TestFolder:
    @pytest.mark.parametrize("folder", ["images", "stimuli", "."])
    def test_a_table_of_fixations(self, tmp_path, draw, folder):
        draw(tmp_path / folder / "a.jpg")
        draw(tmp_path / folder / "sub" / "b.png")
        (tmp_path / "fixations.csv").write_text(
            "image,subject,order,x,y,duration_ms\na.jpg,3,0,1.5,2,100\nsub/b.png,4,0,9,9,\na.jpg,3,1,3,4,200\n"
        )
        entries = by_name(READERS["folder"](tmp_path))
        assert list(entries) == ["a.jpg", "sub/b.png"]
        fixations = entries["a.jpg"].gaze(SIZE)
        assert rows(fixations) == [(1.5, 2, 0, 0), (3, 4, 0, 1)]
        assert fixations.duration.tolist() == [100, 200]
        assert entries["sub/b.png"].gaze(SIZE).subject.tolist() == [1]
        assert np.isnan(entries["sub/b.png"].gaze(SIZE).duration).all()

    def test_subjects_may_be_words_and_order_may_be_missing(self, tmp_path, draw):
        draw(tmp_path / "a.jpg")
        (tmp_path / "fixations.csv").write_text("y,x,image,subject\n1,2,a.jpg,zoe\n3,4,a.jpg,0\n5,6,a.jpg,zoe\n")
        (entry,) = READERS["folder"](tmp_path)
        assert rows(entry.gaze(SIZE)) == [(2, 1, 0, 0), (4, 3, 1, 0), (6, 5, 0, 1)]

    def test_points_alone_have_no_subject_and_no_order(self, tmp_path, draw):
        draw(tmp_path / "a.jpg")
        (tmp_path / "fixations.csv").write_text("image,x,y\na.jpg,1,2\na.jpg,3,4\n")
        (entry,) = READERS["folder"](tmp_path)
        assert rows(entry.gaze(SIZE)) == [(1, 2, -1, -1), (3, 4, -1, -1)]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no column image, x, y"),
            ("image,x\na.jpg,1\n", "no column y;"),
            ("image,x,y\na.jpg,1,2\na.jpg,one,2\n", "line 3: not a fixation"),
            ("image,x,y\na.jpg,1\n", "line 2: not a fixation"),
            ("image;x;y\na.jpg;1;2\n", "separated by semicolons; expected commas: image,subject,order"),
            ('"image";"x";"y"\n"a.jpg";"1,5";"2"\n', "separated by semicolons; expected commas"),
            ("image\tx\ty\na.jpg\t1\t2\n", "separated by tabs; expected commas"),
            ("image|x|y\na.jpg|1|2\n", "separated by bars; expected commas"),
        ],
    )
    def test_a_table_of_another_form_names_the_line(self, tmp_path, draw, text, message):
        draw(tmp_path / "a.jpg")
        (tmp_path / "fixations.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            READERS["folder"](tmp_path)

    def test_images_that_the_table_names_and_are_not_there_are_one_line(self, tmp_path, draw, caplog):
        draw(tmp_path / "images" / "a.jpg")
        (tmp_path / "fixations.csv").write_text("image,x,y\na.jpg,1,2\nz.jpg,1,2\nA.jpg,3,4\nz.jpg,3,4\n")
        assert list(by_name(READERS["folder"](tmp_path))) == ["a.jpg"]
        (record,) = caplog.records
        table = tmp_path / "fixations.csv"
        assert record.getMessage() == f"{table}: 2 of 3 images that it names are not there, the first A.jpg"

    def test_a_table_that_cannot_be_opened(self, tmp_path, draw):
        draw(tmp_path / "a.jpg")
        (tmp_path / "fixations.csv").mkdir()
        with pytest.raises(DataError, match=r"fixations\.csv: cannot be read \(Is a directory\)$"):
            READERS["folder"](tmp_path)

    def test_a_table_that_is_no_text(self, tmp_path, draw):
        draw(tmp_path / "a.jpg")
        (tmp_path / "fixations.csv").write_bytes(b"image,x,y\n\xff\xfe\x00")
        with pytest.raises(DataError, match=r"fixations\.csv, line \d: not a fixation"):
            READERS["folder"](tmp_path)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_grey_maps_of_the_same_name(self, tmp_path, draw, dtype):
        values = np.arange(24 * 32, dtype=dtype).reshape(24, 32)
        draw(tmp_path / "images" / "sub" / "a.jpg")
        draw(tmp_path / "maps" / "sub" / "a.png", values=values)
        (entry,) = READERS["folder"](tmp_path)
        np.testing.assert_array_equal(entry.gaze(SIZE), values)

    def test_maps_beside_the_images_are_no_images(self, tmp_path, draw):
        draw(tmp_path / "a.jpg")
        draw(tmp_path / "b.jpg")
        draw(tmp_path / "maps" / "a.png", values=np.ones((5, 5), np.uint8))
        first, second = READERS["folder"](tmp_path)
        with pytest.raises(DataError, match=r"a\.png is 5 x 5, the image 32 x 24"):
            first.gaze(SIZE)
        with pytest.raises(DataError, match=r"no row in fixations\.csv and no map"):
            second.gaze(SIZE)

    def test_a_map_that_is_no_picture(self, tmp_path, draw):
        draw(tmp_path / "a.jpg")
        (tmp_path / "maps").mkdir()
        (tmp_path / "maps" / "a.png").write_bytes(b"")
        with pytest.raises(DataError, match=r"a\.png is not a picture"):
            READERS["folder"](tmp_path)[0].gaze(SIZE)

    @pytest.mark.shared
    @pytest.mark.parametrize(("name", "count"), [("eyecrowd", 126_345), ("scene500", 43_894)])
    def test_the_real_sets(self, shared, name, count):
        entries = READERS["folder"](shared / "data" / name)
        assert len(entries) == 500
        assert sum(len(entry.gaze(SIZE)) for entry in entries) == count


def test_a_reader_is_one_file_that_registers_itself(tmp_path):
    source = "from gaze.data.readers import READERS\n\n\n@READERS.register('toy')\ndef read(root):\n    return [root]\n"
    (tmp_path / "toy.py").write_text(source)
    code = f"import gaze.data.readers as room; room.__path__.append({str(tmp_path)!r})\n"
    code += "print(room.READERS.get('toy', 'sets.toy.reader')(7))"
    environment = {**os.environ, "PYTHONPATH": str(Path(gaze.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[7]\n", "")
