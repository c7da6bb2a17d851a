"""The alerting rooms as they are composed, fed with alerts of somebody else's rules on a virtual clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from alertmanager.notification import Notification, Outcome
from analyzer.alerting import compose
from analyzer.central import CentralSettings
from model.alert import Alert
from model.labels import Labels
from model.topology import Topology
from tests.incidents.scene import T0

TAKEN = Outcome(ok=True, retry=False, answer="200 OK")


@dataclass
class Sign:
    """An alert from `begins` to `ends` (s) after the start; `fault` names what truly went wrong."""

    fault: str
    labels: dict[str, str]
    begins: int = 0
    ends: int = 300


@dataclass
class House:
    """Plays signs through incidents, stages and dispatcher; every receiver takes everything at once."""

    settings: CentralSettings = field(default_factory=CentralSettings)
    sent: list[tuple[int, Notification]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.alerting = compose(self.settings, Topology(), {})
        self.incidents = self.alerting.incidents

    def play(self, signs: list[Sign], until: int = 900, step: int = 5) -> House:
        for second in range(0, until, step):
            now = T0 + second * 1000
            self.step(
                now, [self._alert(sign, second, now) for sign in signs if self._speaks(sign, second, step)]
            )
        return self

    def step(self, now: int, alerts: list[Alert]) -> None:
        placed = self.alerting.correlate(now, alerts)
        for notification in self.alerting.notify(now, placed):
            self.sent.append((now, notification))
            self.alerting.answered(notification, TAKEN, now)

    def _speaks(self, sign: Sign, second: int, step: int) -> bool:
        begins = -(-sign.begins // step) * step
        return (
            second == begins
            or (begins < second <= sign.ends + step and (second - begins) % 60 < step)
            or (sign.ends <= second < sign.ends + step)
        )

    def _alert(self, sign: Sign, second: int, now: int) -> Alert:
        ends_at = T0 + sign.ends * 1000 if second >= sign.ends else None
        return Alert(Labels(sign.labels), {}, T0 + sign.begins * 1000, ends_at)

    def notifications(self, signs: list[Sign], fault: str) -> tuple[int, int]:
        """How many that name an alert of this fault: of what fires, and of what has ended."""
        own = {Labels(sign.labels) for sign in signs if sign.fault == fault}
        about = [one for _, one in self.sent if any(alert.labels in own for alert in one.alerts)]
        return sum(one.status == "firing" for one in about), sum(one.status == "resolved" for one in about)

    def first_page(self, signs: list[Sign], fault: str) -> int | None:
        """Seconds from the first alert of the fault until one of its alerts was told as firing."""
        own = {Labels(sign.labels) for sign in signs if sign.fault == fault}
        begins = min(sign.begins for sign in signs if sign.fault == fault)
        for at, one in self.sent:
            if any(alert.labels in own and not alert.resolved_at(at) for alert in one.alerts):
                return (at - T0) // 1000 - begins
        return None
