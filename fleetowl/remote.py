"""Asks an analyzer over HTTP; what goes wrong becomes one line with the way out."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import click

from fleetowl.visible import visible

TIMEOUT_SECONDS = 10
_MOST_REASON = 65_536  # bytes


def get(url: str, path: str) -> Any:
    """The `data` of a GET; ends the command with exit status 1 if there is none."""
    return _ask(_request(url, path))


def post(url: str, path: str, token_file: Path | None) -> Any:
    """The `data` of a POST with the token."""
    return _ask(_request(url, path, data=b"", headers=_authorization(token_file), method="POST"))


def send(url: str, path: str, body: Any, token_file: Path | None, method: str = "POST") -> Any:
    """The `data` of an answer to a JSON body (None: none), with the token."""
    headers = {"Content-Type": "application/json", **_authorization(token_file)}
    data = None if body is None else json.dumps(body).encode()
    return _ask(_request(url, path, data=data, headers=headers, method=method))


def ask(url: str, path: str, body: Any = None, *, method: str = "", token_file: Path | None = None) -> Any:
    """The answer of Alertmanager's API, None where it has no body; with a `body` it is a POST."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **_authorization(token_file)}
    how = method or ("GET" if body is None else "POST")
    return _answer(_request(url, path, data=data, headers=headers, method=how))


def _authorization(token_file: Path | None) -> dict[str, str]:
    if token_file is None:
        return {}
    try:
        return {"Authorization": f"Bearer {token_file.read_text().strip()}"}
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"the token file {token_file} cannot be read: {error}")


def _request(url: str, path: str, **how: Any) -> urllib.request.Request:
    if not url.startswith(("http://", "https://")):
        _fail(f"{url!r} is no address of an analyzer: write for example http://127.0.0.1:9480")
    return urllib.request.Request(url.rstrip("/") + path, **how)  # noqa: S310 - the user's own URL


def _ask(request: urllib.request.Request) -> Any:
    answer = _answer(request)
    if not isinstance(answer, dict) or "data" not in answer:
        _fail(f"no analyzer answers at {request.full_url} (set --url or FLEETOWL_URL)")
    return answer["data"]


def _answer(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        _fail(f"{request.full_url} answered {error.code}: {_reason(error)}")
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        _fail(f"no analyzer answers at {request.full_url}: {reason} (set --url or FLEETOWL_URL)")


def _reason(error: urllib.error.HTTPError) -> str:
    """What the body says, be it JSON or a line of text: while the detectors are compiled it is one."""
    body = error.read(_MOST_REASON)
    try:
        said = json.loads(body)
        return said if isinstance(said, str) else str(said["error"])
    except (ValueError, KeyError, TypeError):
        is_text = error.headers.get_content_type() == "text/plain"
        text = body.decode(errors="replace").strip() if is_text else ""
        return text.splitlines()[0] if text else str(error.reason)


def _fail(message: str) -> NoReturn:
    click.echo(visible(f"error: {message}", keep="\n"), err=True)
    sys.exit(1)
