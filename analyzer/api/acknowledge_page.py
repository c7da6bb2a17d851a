"""The page behind a signed link. It works on a phone, without scripts, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from aiohttp import web

from incidents.incident import Incident
from incidents.people.growth import reach_text
from model.moment import format_moment

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff;overflow-wrap:anywhere}"
    "button{font:inherit;font-weight:600;width:100%;padding:1rem;border:0;border-radius:.5rem;"
    "background:#0b5fa5;color:#fff}dt{color:#595959}dd{margin:0 0 .6rem}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
"""Nothing runs, nothing is loaded, and the link, which is a secret, goes to nobody else."""


def page(
    title: str, sentence: str, incident: Incident | None = None, who: str = "", status: int = 200
) -> web.Response:
    """A sentence, what the incident is, and a button for `who` where one is to be pressed."""
    button = ""
    if who:
        # Without an action the form goes to this very link. Mail scanners follow links, none presses buttons.
        button = f'<form method="post"><button>I have it ({escape(who)})</button></form>'
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(sentence)}</p>{_facts(incident)}{button}</body></html>"
    )
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


def _facts(incident: Incident | None) -> str:
    if incident is None:
        return ""
    facts = {
        "What": incident.title,
        "Tier": incident.tier.name,
        "Since": format_moment(incident.opened_at),
        "Reaches": reach_text(incident.reach),
        "Summary": incident.root.annotations.get("summary", ""),
        "Who has it": incident.acknowledged_by or "nobody yet",
    }
    lines = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{''.join(lines)}</dl>"
