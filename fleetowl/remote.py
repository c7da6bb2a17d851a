"""Asks an analyzer over HTTP; what goes wrong becomes one line with the way out."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

import click

TIMEOUT_SECONDS = 10


def get(url: str, path: str) -> Any:
    """The `data` of a GET; ends the command with exit status 1 if there is none."""
    return _ask(urllib.request.Request(url.rstrip("/") + path))  # noqa: S310 - the user's own URL


def post(url: str, path: str, token_file: Path | None) -> Any:
    """The `data` of a POST with the token."""
    headers = {}
    if token_file is not None:
        headers["Authorization"] = f"Bearer {token_file.read_text().strip()}"
    request = urllib.request.Request(  # noqa: S310 - the user's own URL
        url.rstrip("/") + path, data=b"", headers=headers, method="POST"
    )
    return _ask(request)


def _ask(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.load(response)["data"]
    except urllib.error.HTTPError as error:
        _fail(f"{request.full_url} answered {error.code}: {_reason(error)}")
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        reason = getattr(error, "reason", error)
        _fail(f"no analyzer answers at {request.full_url}: {reason} (set --url or FLEETOWL_URL)")


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def _fail(message: str) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(1)
