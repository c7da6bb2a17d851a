"""Opening the state database at start, also when what lies there is broken."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import make_url

from model.decision import Decision, allow, refuse
from model.moment import format_moment
from store.database import BUSY_TIMEOUT, Database
from store.errors import StoreUnavailable

log = logging.getLogger("fleetowl.store")


def open_database(url: str, now: int, busy_timeout: int = BUSY_TIMEOUT) -> tuple[Database, Decision]:
    """The database at `url`, and what was done to have it.

    A damaged SQLite file is moved aside to `<name>.corrupt-<moment>` and a fresh one is made; the
    Decision is then a refusal whose sentence belongs into the log and to a person. Everything else
    that keeps the database shut raises StoreUnavailable.
    """
    path = _file_of(url)
    if path is not None:
        _make_folder(path.parent)
    try:
        return _checked(url, busy_timeout), allow(f"opened the state database {path or ''}".rstrip())
    except StoreUnavailable as error:
        if not error.damaged or path is None:
            raise
        aside = _move_aside(path, now)
        sentence = (
            f"{error}: moved it to {aside} and started with an empty one; open incidents, what was "
            "notified and what runbooks did before this moment are unknown to this process"
        )
    log.error(sentence)
    return Database(url, busy_timeout), refuse(sentence)


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def _checked(url: str, busy_timeout: int) -> Database:
    database = Database(url, busy_timeout)
    try:
        database.check()
    except StoreUnavailable:
        database.close()
        raise
    return database


def _file_of(url: str) -> Path | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(f"the folder of the state database cannot be made ({error})") from error


def _move_aside(path: Path, now: int) -> Path:
    """Move the file and its write-ahead log; the log of a damaged file must not meet the fresh one."""
    aside = path.with_name(f"{path.name}.corrupt-{format_moment(now).replace(':', '')}")
    try:
        for suffix in ("", "-wal", "-shm"):
            piece = path.with_name(path.name + suffix)
            if piece.exists():
                piece.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise StoreUnavailable(f"the damaged {path} cannot be moved aside ({error})") from error
    return aside
