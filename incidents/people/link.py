"""Links by which a person acknowledges an incident without a token: signed, for one person, for a while."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote, urlencode

from model.decision import Decision, allow, refuse
from model.moment import DAY, SECOND

LIFE = 7 * DAY
"""The link of a receiver and an incident changes this often; the one that is sent holds for a day or more."""


class AckLinks:
    """Makes and checks the links of one installation; `key` (32 random bytes) is its secret."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def url(self, base: str, incident: str, opened_at: int, who: str, now: int) -> str:
        """The link for `who` under the external URL `base`; moments in ms."""
        periods = (max(0, now - opened_at) + DAY) // LIFE + 1
        until = (opened_at + periods * LIFE) // SECOND
        query = urlencode({"until": until, "who": who, "sig": self.signature(incident, str(until), who)})
        return f"{base.rstrip('/')}/ack/{quote(incident, safe='')}?{query}"

    def check(self, incident: str, until: str, who: str, signature: str, now: int) -> Decision:
        """Whether the link is one of ours and still good at `now` (ms)."""
        expected = self.signature(incident, until, who)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            return refuse("this link is not one that was sent: its signature is wrong")
        if now >= int(until) * SECOND:
            return refuse("this link has expired: acknowledge by the command line, or by a newer message")
        return allow(f"the link is {who}'s")

    def signature(self, incident: str, until: str, who: str) -> str:
        """HMAC-SHA256 over all that the link says. Lengths keep the parts apart."""
        parts = (incident, until, who)
        text = "".join(f"{len(part)}:{part}" for part in parts).encode(errors="surrogatepass")
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
