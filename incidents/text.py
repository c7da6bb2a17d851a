"""Pieces of sentences about incidents. A label value is data: it is inert in whatever it stands in."""

from __future__ import annotations

import html

from incidents.incident import Incident

_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]#|<>!"})


def inert(text: str) -> str:
    """On one line, so that it does not break out of it."""
    return " ".join(text.split())


def inert_markdown(text: str) -> str:
    """A label value in Markdown that a renderer may turn into HTML: no mark-up, no HTML, one line.

    >>> inert_markdown("<b>*a*</b>")
    '&lt;b&gt;\\\\*a\\\\*&lt;/b&gt;'
    """
    return html.escape(inert(text).translate(_MARKDOWN).replace("\\<", "<").replace("\\>", ">"), quote=False)


def reach_of(incident: Incident) -> str:
    """`1 node, 8 GPUs`."""
    parts = [
        f"{count} {'GPU' if kind == 'gpu' else kind}{'s' if count > 1 else ''}"
        for kind, count in incident.reach.items()
    ]
    return ", ".join(parts) or "nothing that is known"


def share_of(incident: Incident) -> str:
    """`25 % of llama`: of the replicas of each service that it hits."""
    shares = sorted(incident.share.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(
        f"{share:.0%} of {inert(service)}".replace("%", " %", 1) for service, share in shares if share
    )
