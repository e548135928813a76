"""Times `python -m gaze.crop` beside other croppers: photos a second, CPU time, memory.

    python tests/benchmarks/crop_speed.py PHOTOS OUT [--photos 280] [--large 60] [--rounds 5]

PHOTOS holds JPEGs; OUT receives `crop_speed.md`, `crop_speed.json` and, in `large/`, photos of 4000x3000 made of them
(Lanczos, a little noise, quality 90). Node's peers come with `npm install` in `tests/benchmarks/node`; what is not
installed is left out, which is said.

Everyone makes thumbnails of 200x200, JPEG of quality 85 with 4:2:0 and Huffman's standard tables, from the same files.
In each round everyone has a turn; ratios are taken within a round. Start-up does not count: a peer is a process that
has done 20 photos when its time begins; a run of ours is a real one over a folder, whose time and CPU begin when 20
photos are done and end 8 before the last. One process of ours is a worker with one thread beside the parent that keeps
the books; the CPU time is that of both, and of all threads of a peer.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from crop_speed_runs import END, SIDE, Ours, Peer, Result
from PIL import Image

from gaze.crop.folder.cores import cores

HERE = Path(__file__).parent
WARM_UP = 20
SLOW = 10
"""Of the slow peers only every tenth photo is timed."""


@dataclass(frozen=True)
class Contestant:
    """A way to crop.

    Attributes:
        name: in the table.
        parallel: photos under way at a time.
        runner: does a list of photos.
        slow: whether it gets fewer photos.
    """

    name: str
    parallel: int
    runner: Ours | Peer
    slow: bool = False


def contestants() -> list[Contestant]:
    """All that are installed."""
    found = []
    for jobs in sorted({1, cores()}):
        found += [Contestant(f"gaze {model}", jobs, Ours(model, jobs)) for model in ("fast", "quality")]
        for way in ("attention", "entropy"):
            found.append(Contestant(f"sharp {way}", jobs, Peer(["node", HERE / "node/speed.mjs", way], jobs)))
    found.append(Contestant("smartcrop.js", 1, Peer(["node", HERE / "node/speed.mjs", "smartcrop"], 1), slow=True))
    python = [sys.executable, HERE / "crop_speed_peers.py"]
    found.append(Contestant("smartcrop.py", 1, Peer([*python, "smartcrop"]), slow=True))
    found.append(Contestant("libvips attention", 1, Peer([*python, "vips"], VIPS_CONCURRENCY="1")))
    found += [Contestant(f"centre, {way}", 1, Peer([*python, way.lower()])) for way in ("Pillow", "OpenCV")]
    return found


def enlarged(photos: Sequence[Path], folder: Path) -> list[Path]:
    """Photos of 12 megapixels, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 3, (3000, 4000, 1)).astype(np.float32)
    for photo in photos:
        if not (folder / photo.name).exists():
            large = Image.open(photo).convert("RGB").resize((4000, 3000), Image.Resampling.LANCZOS)
            pixels = (np.asarray(large) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / photo.name, quality=90)
    return [folder / photo.name for photo in photos]


def compete(everyone: list[Contestant], photos: Sequence[Path], rounds: int) -> dict[Contestant, list[Result]]:
    """Everyone's results, round by round; who fails is left out."""
    results: dict[Contestant, list[Result]] = {each: [] for each in everyone}
    for number in range(rounds):
        for each in list(results):
            timed = photos[WARM_UP:]
            try:
                results[each].append(each.runner(photos[:WARM_UP], timed[::SLOW] if each.slow else timed))
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                print(f"{each.name}: left out ({error})", file=sys.stderr)
                del results[each]
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return results


def row(each: Contestant, results: list[Result], against: list[Result] | None) -> dict[str, Any]:
    """What the table says of a contestant; its ratios are to `against`, round by round."""
    rates = [1 / result.seconds for result in results]
    found: dict[str, Any] = {
        "name": each.name,
        "parallel": each.parallel,
        "rate": [float(value) for value in np.percentile(rates, (50, 0, 100))],
        "cpu_ms": [float(1e3 * value) for value in np.percentile([r.cpu for r in results], (50, 0, 100))],
        "megabytes": max(result.megabytes for result in results),
        "stages": {key: float(np.median([r.stages[key] for r in results])) for key in results[0].stages},
    }
    if against:
        pairs = list(zip(results, against, strict=True))
        found["rate_ratio"] = float(np.median([theirs.seconds / mine.seconds for mine, theirs in pairs]))
        found["cpu_ratio"] = float(np.median([theirs.cpu / mine.cpu for mine, theirs in pairs]))
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown; a ratio is that to sharp `attention` with as many photos under way."""
    lines = ["| | at a time | photos/s (range) | ratio | CPU ms a photo (range) | ratio | MB a process |",
             "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for r in rows:
        (rate, low, high), (cpu, least, most) = r["rate"], r["cpu_ms"]
        ratios = [f"{r[key]:.2f}" if key in r else "–" for key in ("rate_ratio", "cpu_ratio")]
        lines.append(f"| {r['name']} | {r['parallel']} | {rate:.0f} ({low:.0f}–{high:.0f}) | {ratios[0]} "
                     f"| {cpu:.1f} ({least:.1f}–{most:.1f}) | {ratios[1]} | {r['megabytes']:.0f} |")  # fmt: skip
    return "\n".join([*lines, "", *map(_stages, filter(lambda r: r["stages"], rows)), ""])


def _stages(r: dict[str, Any]) -> str:
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in r["stages"].items())
    return f"{r['name']}, {r['parallel']} at a time, ms a photo: {stages}.  "


def check_count(photos: int, large: int) -> None:
    """Raises ValueError where a run of ours would end before its time could be taken."""
    for name, count in (("photos as they are", photos), ("4000x3000", large)):
        if count <= WARM_UP + END:
            least = f"{WARM_UP} to warm up, {END} at the end that are not timed, and one"
            raise ValueError(f"{name}: expected at least {WARM_UP + END + 1} ({least}), got {count}")


def main() -> None:
    """Times, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="PHOTOS", type=Path)
    parser.add_argument("out", metavar="OUT", type=Path)
    for name, count in (("--photos", 280), ("--large", 60), ("--rounds", 5)):
        parser.add_argument(name, type=int, default=count)
    options = parser.parse_args()
    photos = sorted(options.folder.glob("*.jpg"))[: WARM_UP + options.photos]
    try:
        check_count(len(photos), min(len(photos), WARM_UP + options.large))
    except ValueError as error:
        parser.error(str(error))
    large = enlarged(photos[: WARM_UP + options.large], options.out / "large")
    everyone, report, text = contestants(), {}, ""
    for name, files in (("as they are", photos), ("4000x3000", large)):
        results = compete(everyone, files, options.rounds)
        sharp = {each.parallel: found for each, found in results.items() if each.name == "sharp attention"}
        report[name] = [row(each, found, sharp.get(each.parallel)) for each, found in results.items()]
        text += f"Photos {name}, to {SIDE}x{SIDE}:\n\n{table(report[name])}\n"
    print(text)
    (options.out / "crop_speed.md").write_text(text)
    (options.out / "crop_speed.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
