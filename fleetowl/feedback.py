"""The commands with which people say what an anomaly was: noise or real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fleetowl.options import OUTPUT, TOKEN, URL, show

_SHOWN = 20
"""So many marked series are printed."""


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
    @click.option("--dry-run", is_flag=True, help="Only show what would be marked.")
    @URL
    @TOKEN
    def command(
        matchers: tuple[str, ...],
        alert: str,
        incident: str,
        why: str,
        who: str | None,
        dry_run: bool,
        url: str,
        token_file: Path | None,
    ) -> None:
        if sum(map(bool, (matchers, alert, incident))) != 1:
            raise click.UsageError("say what you mean by only one of: matchers as gpu=3, --alert, --incident")
        meant: dict[str, Any] = {"matchers": list(matchers)} if matchers else {}
        meant |= {key: value for key, value in (("alert", alert), ("incident", incident)) if value}
        meant |= {"verdict": name, "who": _who(who), "why": why}
        _mark(url, {**meant, "dry_run": True} if dry_run else meant, token_file)


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
@click.argument("ids", nargs=-1, type=click.IntRange(min=1))
@click.option("--batch", type=click.IntRange(min=1), help="All that was marked by one command.")
@click.option("--who", help="Who takes it back.  [default: your user name]")
@URL
@TOKEN
def feedback_undo(
    ids: tuple[int, ...], batch: int | None, who: str | None, url: str, token_file: Path | None
) -> None:
    """Take back what was said, by the ids of marks or of a batch."""
    from urllib.parse import urlencode

    from fleetowl.remote import send
    from fleetowl.visible import visible

    if bool(ids) == (batch is not None):
        raise click.UsageError("say what to take back by only one of: ids of marks, --batch")
    named = urlencode({"who": _who(who)})
    for path in map(str, ids) if batch is None else [f"batch/{batch}"]:
        said = send(url, f"/api/v1/feedback/{path}?{named}", None, token_file, "DELETE")
        click.echo(visible(str(said)))


def _mark(url: str, body: dict[str, Any], token_file: Path | None) -> None:
    from fleetowl.remote import send
    from fleetowl.visible import visible
    from model.labels import format_labels

    answer = send(url, "/api/v1/feedback", body, token_file)
    marks = answer["marks"]
    click.echo(visible(str(answer["said"])))
    for mark in marks[:_SHOWN]:
        click.echo(visible(f"  {mark.get('id', '-')}  {format_labels(mark['labels'])}"))
    if len(marks) > _SHOWN:
        click.echo(f"  and {len(marks) - _SHOWN} more")
    if len(marks) > 1 and "batch" in answer:
        click.echo(f"to take them back: fleetowl feedback undo --batch {answer['batch']}")


def _who(who: str | None) -> str:
    from fleetowl.on_call import user

    if who is not None and not who.strip():
        raise click.UsageError("--who is empty: say who you are, or leave --who out")
    return who or user()
