"""A registry finds what the files of its package register, and says what is wrong with a name."""

import sys
from pathlib import Path

import pytest

from gaze.errors import ConfigError
from gaze.registry import Registry

HEAD = "from {room} import KINDS\n\n"


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes an importable package of the given files; its `__init__` holds the registry KINDS and names no file."""
    name = "toy_room"
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**files: str) -> Registry:
        folder = tmp_path / name
        init = f"from gaze.registry import Registry\n\nKINDS = Registry({name!r}, 'kind')\n"
        for path, source in {"__init__": init, **files}.items():
            file = folder / f"{path.replace('__in__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source.replace("{room}", name))
        return __import__(name).KINDS

    yield make
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


TOY = HEAD + "@KINDS.register('toy')\ndef toy():\n    return 'played'\n"


def test_a_file_in_the_room_is_found_with_nothing_else_to_touch(room):
    kinds = room(toy=TOY)
    assert kinds.get("toy")() == "played"
    assert kinds["toy"] is kinds.get("toy")


def test_files_of_subpackages_are_found(room):
    kinds = room(sub__in____init__="", sub__in__deep=TOY)
    assert list(kinds) == ["toy"]


def test_names_come_in_alphabetical_order(room):
    kinds = room(a=TOY.replace("'toy'", "'zebra'"), z=TOY.replace("'toy'", "'ant'"))
    assert list(kinds) == ["ant", "zebra"]
    assert "ant" in kinds
    assert "toy" not in kinds


def test_nothing_is_imported_before_the_first_look_up(room):
    kinds = room(toy="raise RuntimeError('imported')\n")
    with pytest.raises(RuntimeError, match="imported"):
        list(kinds)


def test_a_module_that_cannot_be_imported_is_not_passed_over(room):
    kinds = room(broken__in____init__="import no_such_module\n", toy=TOY)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            kinds.get("toy")


def test_a_module_may_look_up_while_the_room_is_imported(room):
    kinds = room(eager=HEAD + "KINDS.register('eager')(len)\nnames = list(KINDS)\n", toy=TOY)
    assert list(kinds) == ["eager", "toy"]


def test_the_decorated_thing_stays_itself():
    kinds: Registry[type] = Registry("gaze", "kind")

    class Toy:
        pass

    assert kinds.register("toy")(Toy) is Toy


def test_an_unknown_name_lists_the_known(room):
    kinds = room(toy=TOY, other=TOY.replace("'toy'", "'other'"))
    with pytest.raises(ConfigError, match=r"^pruner\.signal: expected one of other, toy, got 'tyo'$"):
        kinds.get("tyo", "pruner.signal")
    with pytest.raises(ConfigError, match=r"^kind: expected one of other, toy, got 'tyo'$"):
        kinds["tyo"]


def test_an_empty_room_knows_none(room):
    with pytest.raises(ConfigError, match=r"^kind: expected one of none, got 'toy'$"):
        room().get("toy")


def test_a_name_taken_by_another_file_is_an_error_that_names_both(room):
    kinds = room(one=TOY, two=TOY)
    with pytest.raises(
        ValueError, match=r"kind 'toy' is registered twice: by toy_room\.one\.toy and by toy_room\.two\.toy$"
    ):
        list(kinds)


def test_what_has_no_name_of_its_own_is_shown():
    kinds: Registry[int] = Registry("gaze", "kind")
    kinds.register("toy")(1)
    with pytest.raises(ValueError, match=r"by 1 and by 2$"):
        kinds.register("toy")(2)
