"""What is left of a configuration without what is wrong in it, and where that stands in the file."""

from __future__ import annotations

from typing import Any

from model.settings import Problem, Settings
from model.sound import sound_part


class Thing(Settings):
    """One of a list."""

    name: str
    size: int = 0


class Things(Settings):
    """A section."""

    things: tuple[Thing, ...] = ()
    limit: int = 0


DATA: dict[str, Any] = {
    "limit": "many",
    "things": [{"name": "a", "size": "x"}, {"nam": "b"}, {"name": ["c"]}, {"name": "d"}],
}


def test_what_is_wrong_is_left_out() -> None:
    sound = sound_part(Things, DATA)
    assert sound is not None
    assert sound.settings == Things(things=(Thing(name="a"), Thing(name="d")))


def test_problems_keep_the_keys_of_the_file_and_none_comes_of_a_gap() -> None:
    sound = sound_part(Things, DATA, "part")
    assert sound is not None
    found = [
        Problem("f.yml", "part.things.1.size", "is too small"),
        Problem("f.yml", "part.things", "are too few"),
        Problem("other.yml", "part.things.1", "is elsewhere"),
    ]
    assert [str(one) for one in sound.beside("f.yml", found)] == [
        "f.yml: part.things.3.size: is too small",
        "other.yml: part.things.1: is elsewhere",
    ]


def test_nothing_is_left_of_what_is_no_section() -> None:
    assert sound_part(Things, {"limit": 1, "things": 5}) is not None
    assert sound_part(Thing, {"size": 1}) is None
