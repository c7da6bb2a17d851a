"""The audit log: whole, or it says where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runbooks.audit import AuditLog, AuditUnavailable, read, verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit" / "audit.jsonl"
    log = AuditLog(path)
    for number in range(5):
        assert log.append({"run": f"r{number}", "sentence": 'a "quoted"\nline — ü'}) == number + 1
    log.close()
    return path


def rewrite(path: Path, change: dict[int, str | None]) -> None:
    lines = path.read_text().splitlines(keepends=True)
    found = [change.get(number, line) for number, line in enumerate(lines, start=1)]
    path.write_text("".join(line for line in found if line is not None))


def test_a_whole_log_says_so_and_goes_on_where_it_ended(path: Path) -> None:
    log = AuditLog(path)
    assert log.append({"run": "r5"}) == 6
    log.close()
    assert str(verify(path)) == f"{path}: 6 lines, none changed or missing"
    assert [entry["run"] for entry in read(path)] == [f"r{number}" for number in range(6)]
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_a_changed_line_is_named(path: Path) -> None:
    rewrite(path, {3: path.read_text().splitlines(keepends=True)[2].replace("r2", "r9")})
    assert str(verify(path)).endswith("line 3 was changed: its content does not have its hash")


@pytest.mark.parametrize(("gone", "line"), [(1, 1), (3, 3)])
def test_a_deleted_line_is_named(path: Path, gone: int, line: int) -> None:
    rewrite(path, {gone: None})
    assert str(verify(path)).endswith(f"before line {line} a line was deleted, inserted or moved")


def test_lines_missing_at_the_end_are_noticed(path: Path) -> None:
    rewrite(path, {4: None, 5: None})
    assert str(verify(path)).endswith("entry 5 was written: lines are missing at the end")
    path.unlink()
    assert not verify(path)


def test_garbage_is_named(path: Path) -> None:
    rewrite(path, {2: "garbage\n"})
    assert str(verify(path)).endswith("line 2 is not a line of the audit log")


def test_half_a_line_of_a_crash_is_cut_off(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"run": "torn')
    log = AuditLog(path)
    log.append({"run": "next"})
    log.close()
    assert str(verify(path)) == f"{path}: 6 lines, none changed or missing"


def test_a_full_disk_refuses_and_leaves_the_log_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, real = AuditLog(path), os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 10:
            return real(file, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runbooks.audit.os.write", lambda file, data: full(file, data[:15]))
    with pytest.raises(AuditUnavailable, match="No space left on device"):
        log.append({"run": "lost"})
    monkeypatch.undo()
    assert str(verify(path)) == f"{path}: 5 lines, none changed or missing"
    assert log.append({"run": "kept"}) == 6
    log.close()
    assert verify(path)


def test_two_processes_do_not_write_one_log(path: Path) -> None:
    first, second = AuditLog(path), AuditLog(path)
    first.append({"run": "a"})
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        second.append({"run": "b"})
    first.close()
    second.append({"run": "b"})
    second.close()
    assert verify(path)


def test_a_damaged_last_line_is_not_written_over(path: Path) -> None:
    rewrite(path, {5: "garbage\n"})
    with pytest.raises(AuditUnavailable, match="move the file aside"):
        AuditLog(path).append({"run": "r"})
