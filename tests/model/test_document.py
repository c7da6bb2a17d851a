"""Reading YAML files: values or texts, and what is said of a file that cannot be taken."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from model.document import read_yaml
from model.settings import ConfigurationError


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "a.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_scalars_are_values_or_stay_text(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 1.0\nb: on\nc: [{d: }]\n")
    assert read_yaml(path) == {"a": 1.0, "b": True, "c": [{"d": None}]}
    assert read_yaml(path, as_text=True) == {"a": "1.0", "b": "on", "c": [{"d": ""}]}


@pytest.mark.parametrize("as_text", [False, True])
def test_an_empty_file_is_nothing(tmp_path: Path, as_text: bool) -> None:
    assert read_yaml(written(tmp_path, "# nothing\n"), as_text=as_text) is None


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    path = written(tmp_path, "z: &z {x: 0, y: 2}\nc: [[&a {<<: *z, x: 1}]]\nb: {<<: *a, y: 3}\n")
    assert read_yaml(path)["b"] == {"x": 1, "y": 3}


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4: is not YAML: the key 'c' stands twice"),
        ("a: 1\nb: [", "line 2: is not YAML: "),
        ("? [a]\n: 1\n", "line 1: is not YAML: found unhashable key"),
        ("--- {}\n--- {}\n", "line 2: is not YAML: but found another document"),
        ("a: \x07", "a.yml: is not YAML: "),
        (b"a: \xff", "a.yml: is not YAML: "),
        ("[" * 500, "a.yml: is not YAML: "),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    tmp_path: Path, text: str | bytes, said: str, as_text: bool
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(path, as_text=as_text)
    (problem,) = caught.value.problems
    assert said in str(problem)
    assert str(problem).startswith(str(path))


def test_a_date_that_is_none_stays_text(tmp_path: Path) -> None:
    path = written(tmp_path, "a: 2026-13-01\nb: [2026-12-01]")
    assert read_yaml(path) == {"a": "2026-13-01", "b": [date(2026, 12, 1)]}


def test_a_value_that_cannot_be_made_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 2: is not YAML: invalid literal"):
        read_yaml(written(tmp_path, "a: 1\nb: !!int x"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yml: cannot be read: No such file"):
        read_yaml(tmp_path / "gone.yml")
