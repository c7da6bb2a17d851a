"""What is left of a configuration without what is wrong in it, and where that stands in the file."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

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


class Choice(Settings):
    """One of two keys is needed."""

    number: int = 0
    word: str = Field(default="", validate_default=True)

    @field_validator("word")
    @classmethod
    def _one_of_them(cls, word: str, info: ValidationInfo) -> str:
        if not word and info.data.get("number") == 0:
            raise ValueError("either is needed")
        return word


class Choices(Settings):
    """A section of them."""

    choice: Choice = Choice(number=1)


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


def test_what_is_missed_only_beside_a_gap_is_no_problem() -> None:
    sound = sound_part(Choices, {"choice": {"number": "many"}})
    assert sound is not None
    assert list(sound.beside("f.yml", [])) == []
