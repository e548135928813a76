"""Photos side by side."""

import pytest

from gaze.crop.photo.stages import HELD, Stages, run_through, side_by_side
from gaze.errors import ImageError


def photo(name: str, done: list[str], stages: int = 3, held: int = 1, breaks: int = -1) -> Stages[str]:
    for stage in range(stages):
        done.append(f"{name}{stage}")
        if stage == breaks:
            raise ImageError(f"{name} breaks")
        yield held
    return name


def test_each_stage_of_all_before_the_next():
    done: list[str] = []
    assert side_by_side(photo(name, done) for name in "ab") == ["a", "b"]
    assert done == ["a0", "b0", "a1", "b1", "a2", "b2"]


@pytest.mark.parametrize("breaks", [0, 1, 2])
def test_photo_that_breaks_leaves_the_others_alone(breaks: int):
    done: list[str] = []
    first, broken, short = side_by_side([photo("a", done), photo("b", done, breaks=breaks), photo("c", done, 1)])
    assert (first, short) == ("a", "c")
    assert isinstance(broken, ImageError)
    assert str(broken) == "b breaks"
    assert [each for each in done if each[0] == "b"] == ["b0", "b1", "b2"][: breaks + 1]


def test_photos_that_hold_much_come_one_after_the_other():
    done: list[str] = []
    works = [photo("a", done, 2), photo("b", done, 2, HELD), photo("c", done, 2, HELD), photo("d", done, 2)]
    assert side_by_side(works) == ["a", "b", "c", "d"]
    assert done == ["a0", "b0", "a1", "b1", "c0", "c1", "d0", "d1"]


@pytest.mark.parametrize("held", [1, HELD])
@pytest.mark.parametrize(("late", "begun"), [(0, "a"), (1, "ab"), (2, "abc"), (3, "abc")])
def test_once_it_is_late_no_more_are_begun(held: int, late: int, begun: str):
    done: list[str] = []
    answers = iter([False] * late)
    works = (photo(name, done, 2, held) for name in "abc")
    assert side_by_side(works, lambda: next(answers, True)) == list(begun)
    assert sorted(done) == [f"{name}{stage}" for name in begun for stage in range(2)]


class Pixels:
    """What a photo holds."""

    def __init__(self, alive: list[int]) -> None:
        self._alive = alive
        alive[0] += 1

    def __del__(self) -> None:
        self._alive[0] -= 1


def decode(pixels: Pixels) -> list[int]:
    return [1 // number for number in range(2) if pixels]


@pytest.mark.parametrize("cause", [True, False])
@pytest.mark.parametrize("breaks", [0, 1])
def test_photo_that_broke_holds_nothing_while_the_others_are_done(breaks: int, cause: bool):
    alive, seen = [0], []

    def broken() -> Stages[str]:
        seen.append(alive[0])
        pixels = Pixels(alive)
        for _ in range(breaks):
            yield HELD
        try:
            decode(pixels)
        except ZeroDivisionError as error:
            raise ImageError("breaks") from (error if cause else None)
        return ""

    outcomes = side_by_side([broken() for _ in range(4)])
    assert [str(outcome) for outcome in outcomes] == ["breaks"] * 4
    assert seen == [0] * 4
    assert alive == [0]


def test_no_photos():
    assert side_by_side([]) == []


def test_one_to_its_end():
    done: list[str] = []
    assert run_through(photo("a", done)) == "a"
    assert done == ["a0", "a1", "a2"]
    with pytest.raises(ImageError, match="a breaks"):
        run_through(photo("a", done, breaks=1))


def test_a_death_of_the_program_passes_through():
    def interrupted() -> Stages[str]:
        yield 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side([interrupted(), photo("a", [])])
