"""Sheets of crops with the croppers' names covered, for readers to judge, and what they said of each.

    python tests/benchmarks/crop_eyes.py sheets DATA STORES OUT [--models fast OLD/fast.onnx] [--more PHOTO ...]
    python tests/benchmarks/crop_eyes.py count OUT ANSWERS.csv ...

DATA and STORES: see `crop_quality.py`; Node is needed for sharp. `sheets` draws 56 photographs of `test`, `TAKEN` of
each set, by the seed, adds those of `--more`, and writes a sheet for each, `key.json` and `INSTRUCTIONS.md`, which a
reader gets with the sheets alone. A row of a sheet has the crops of one ratio in an order of its own: the center,
sharp's `attention` and the models. Of an answer a line is `sheet,ratio,` and for each crop `ok` or a reason, then the
letter of the one that is preferred, or `=`. `count` prints for each reader how many crops of whom are sent back, by
reason, and preferred.
"""

import argparse
import csv
import json
import random
from collections import Counter
from pathlib import Path

from crop_choosers import WINDOWS, Chooser, Photo, by_center, by_node, by_prediction, read_photos, remembered
from crop_quality import SETS
from PIL import Image, ImageDraw, ImageFont

from gaze.fixations import Fixations
from gaze.geometry import Size
from gaze.images import decode
from gaze.predictor import Predictor

TAKEN = {"osie": 28, "eyecrowd": 16, "scene500": 12}
SEED = 20261127
WIDTH, GAP, LINE = 1560, 8, 28
HEIGHTS = {"1:1": 300, "9:16": 330, "4:5": 320, "16:9": 205}
LETTERS = "ABCDEFGH"

INSTRUCTIONS = """# Which of these crops would you send back?

You are a picture editor who judges thumbnails. Each sheet is one photograph (shown whole at the right of the row 9:16)
and up to four rows, one for each aspect ratio. In a row there are crops of the photograph, lettered, made by different
croppers in an order that changes from row to row. Some may be the same.

For each row decide of EACH crop whether you would send it back, as a thumbnail of that shape of that photograph, and
why:
- `head`: a head (of a person or an animal) that one looks at is cut by a side, or its crown or chin is cut off;
- `text`: text or a sign that one looks at is cut through;
- `edge`: the subject (person, animal, product, building, thing) is cut, lies hard against a side, or is lost;
- `people`: people who belong together are parted, or a person is cut in two;
- `moved`: the crop left the middle without need, and is worse for it.
Send back only what that shape could have avoided: where no window of that ratio can avoid it (a face that fills the
photograph, a word as wide as it), it is no reason. Small, unimportant things in the background do not matter. Judge it
as you would a colleague's work: is this thumbnail good enough to be published? A crop is sent back for what is wrong
with it, not because another is nicer. Then name the crop of the row that you prefer (`=` if several are equally good
and best).

Look at every sheet; no program may decide for you. Lines: sheet,ratio, then `ok` or ONE reason for each crop, then the
preferred one, for example

    s07,1:1,ok,head,ok,edge,C
"""


Key = dict[str, list[str]]
"""Who made the crops of a row, by sheet and ratio."""


def chosen(stores: Path, data: Path, more: list[Path]) -> list[Photo]:
    """The photographs, in the order of their sheets."""
    drawn, photos = random.Random(SEED), list(read_photos(stores, data, SETS, "test"))
    taken = [photo for name in SETS for photo in drawn.sample([p for p in photos if p.source == name], TAKEN[name])]
    for file in more:
        image = decode(file)
        taken.append(Photo("more", file, image, Size(image.shape[1], image.shape[0]), Fixations.of([], []), 0.0))
    drawn.shuffle(taken)
    return taken


def croppers(photos: list[Photo], models: list[str]) -> dict[str, Chooser]:
    """By name."""
    found = {
        "center": by_center,
        **{k: v for k, v in by_node([(p.file, p.size) for p in photos]).items() if "att" in k},
    }
    for model in models:
        predictor = Predictor(model)
        name = f"{predictor.card.name} {predictor.card.version}"
        found[name] = by_prediction(remembered(lambda photo, own=predictor: own.predict(photo.image)))
    return found


def sheet(
    photo: Photo, title: str, by: dict[str, Chooser], order: random.Random
) -> tuple[Image.Image, dict[str, list[str]]]:
    """A sheet, and who made the crops of each of its rows."""
    image, font, rows, key = Image.fromarray(photo.image), ImageFont.load_default(22), [], {}
    for window in (w for w in WINDOWS[:4] if w.size(photo.size) != photo.size):
        names, own = list(by), window.size(photo.size)
        order.shuffle(names)
        room = (WIDTH if window.name != "9:16" else 2 * WIDTH // 3) // len(names) - GAP
        wide = min(room, round(HEIGHTS[window.name] * own.width / own.height))
        high = round(wide * own.height / own.width)
        row = Image.new("RGB", (WIDTH, high + LINE), "white")
        draw = ImageDraw.Draw(row)
        draw.text((2, 2), window.name, fill="red", font=font)
        for place, name in enumerate(names):
            x = GAP + place * (wide + GAP)
            row.paste(
                image.crop(by[name](photo, window).bbox).resize((wide, high), Image.Resampling.LANCZOS), (x, LINE)
            )
            draw.text((x + 70, 2), LETTERS[place], fill="black", font=font)
        if window.name == "9:16":
            left = len(names) * (wide + GAP) + 3 * GAP
            scale = min((WIDTH - left) / image.width, high / image.height)
            row.paste(image.resize((round(image.width * scale), round(image.height * scale))), (left, LINE))
        rows.append(row)
        key[f"{title},{window.name}"] = names
    whole = Image.new("RGB", (WIDTH, LINE + sum(row.height + GAP for row in rows)), "white")
    ImageDraw.Draw(whole).text((4, 2), title, fill="blue", font=font)
    top = LINE
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height + GAP
    return whole, key


def write_sheets(options: argparse.Namespace) -> None:
    """Draws and writes."""
    photos, order, key = chosen(options.stores, options.data, options.more), random.Random(SEED), {}
    by = croppers(photos, options.models)
    options.out.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos):
        picture, names = sheet(photo, f"s{number:02}", by, order)
        picture.save(options.out / f"s{number:02}.jpg", quality=88)
        key |= names
    (options.out / "key.json").write_text(json.dumps(key, indent=1))
    (options.out / "INSTRUCTIONS.md").write_text(INSTRUCTIONS)
    print(f"{len(photos)} sheets, {len(key)} rows")


def count(options: argparse.Namespace) -> None:
    """Prints what each reader said."""
    key = json.loads((options.out / "key.json").read_text())
    for file in options.answers:
        back: dict[str, Counter[str]] = {name: Counter() for name in next(iter(key.values()))}
        preferred: Counter[str] = Counter()
        with file.open(newline="") as lines:
            rows = {f"{line[0]},{line[1]}": [word.strip() for word in line[2:]] for line in csv.reader(lines)}
        for row, words in rows.items():
            for name, word in zip(key[row], words[:-1], strict=True):
                back[name].update([word] if word != "ok" else [])
            if words[-1] in LETTERS:
                preferred[key[row][LETTERS.index(words[-1])]] += 1
        print(f"{file}: {len(rows)} of {len(key)} rows")
        for name, reasons in back.items():
            total = sum(reasons.values())
            print(f"  {name}: {total} sent back ({total / len(rows):.3f}) {dict(reasons)}, {preferred[name]} preferred")


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    sheets = verbs.add_parser("sheets")
    for name in ("data", "stores", "out"):
        sheets.add_argument(name, type=Path)
    sheets.add_argument("--models", nargs="+", default=["fast"])
    sheets.add_argument("--more", nargs="*", type=Path, default=[])
    sheets.set_defaults(run=write_sheets)
    counted = verbs.add_parser("count")
    counted.add_argument("out", type=Path)
    counted.add_argument("answers", nargs="+", type=Path)
    counted.set_defaults(run=count)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
