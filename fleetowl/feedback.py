"""The commands with which people say what an anomaly was: noise or real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fleetowl.options import OUTPUT, TOKEN, URL, show


@click.group()
def feedback() -> None:
    """Say of an anomaly that it is noise or real, see what was said, and take it back."""


def _verdict(name: str, does: str) -> None:
    @feedback.command(
        name, help=f"Mark anomalies as {name}: {does}. Say which by matchers as gpu=3, or by one option."
    )
    @click.argument("matchers", nargs=-1)
    @click.option("--alert", default="", help="The anomaly behind the alert of this fingerprint.")
    @click.option("--incident", default="", help="The anomalies behind the alerts of this incident.")
    @click.option("--why", default="", help="For whoever looks at it later.")
    @click.option("--who", help="Who says so.  [default: your user name]")
    @URL
    @TOKEN
    def command(
        matchers: tuple[str, ...],
        alert: str,
        incident: str,
        why: str,
        who: str | None,
        url: str,
        token_file: Path | None,
    ) -> None:
        if sum(map(bool, (matchers, alert, incident))) != 1:
            raise click.UsageError("say what you mean: by matchers as gpu=3, by --alert or by --incident")
        meant: dict[str, Any] = {"matchers": list(matchers)} if matchers else {}
        meant |= {key: value for key, value in (("alert", alert), ("incident", incident)) if value}
        _tell(url, "/api/v1/feedback", {"verdict": name, "who": _who(who), "why": why, **meant}, token_file)


_verdict("noise", "the weight of each is halved, which may quiet P2 and P3 alerts and never others")
_verdict("real", "the weight of each is doubled, to 1 at most")


@feedback.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what was taken back.")
@URL
@OUTPUT
def feedback_list(everything: bool, url: str, output: str) -> None:
    """List what people said, and the weight that follows."""
    show(url, f"/api/v1/feedback{'?state=all' if everything else ''}", "feedback", output)


@feedback.command("undo")
@click.argument("id", type=click.IntRange(min=1))
@click.option("--who", help="Who takes it back.  [default: your user name]")
@URL
@TOKEN
def feedback_undo(id: int, who: str | None, url: str, token_file: Path | None) -> None:
    """Take back what was said."""
    from urllib.parse import urlencode

    _tell(url, f"/api/v1/feedback/{id}?{urlencode({'who': _who(who)})}", None, token_file, "DELETE")


def _tell(url: str, path: str, body: Any, token_file: Path | None, method: str = "POST") -> None:
    from fleetowl.remote import send
    from fleetowl.visible import visible

    click.echo(visible(str(send(url, path, body, token_file, method))))


def _who(who: str | None) -> str:
    from fleetowl.on_call import user

    if who is not None and not who.strip():
        raise click.UsageError("--who is empty: say who you are, or leave --who out")
    return who or user()
