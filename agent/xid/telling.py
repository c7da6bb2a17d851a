"""XIDs and SXids as events: the sentence for people, and the samples that let the rules see them at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.event import Ahead, Event
from agent.xid.book import Book, Entered
from agent.xid.catalogue import Catalogue
from agent.xid.devices import Device
from agent.xid.kernel_text import SxidLine, XidLine
from agent.xid.switches import Error
from agent.xid.sxid import FATAL_ACTION, meaning
from model.labels import NAME, Labels
from model.metric import Sample
from wire.target_labels import with_target_labels

_LONGEST = 160  # characters of the kernel's words in a sentence


class Teller:
    """Makes events. `known` are the series that have been pushed."""

    def __init__(self, node: str, target: Mapping[str, str], table: Catalogue) -> None:
        self._node, self._target, self._table = node, dict(target), table
        self.known: Collection[Labels] = frozenset()

    def xid(
        self, book: Book, device: Device, line: XidLine, entered: Entered, untold: int, now: int
    ) -> Event:
        """The event of an XID at `now` (ms)."""
        count = entered.record.count
        occasion = entered.record.verdicts[entered.verdict]
        code = entered.judgement.code
        series = [book.counter(device, code, count), book.time(device, code, entered.verdict, occasion)]
        labels = {"node": self._node, "gpu": device.gpu, "uuid": device.uuid, "xid": str(code)}
        text = self.sentence(book, device, line, entered, untold)
        return Event("xid", labels, float(count), now, text, self._ahead(series, untold, now))

    def sxid(self, line: SxidLine, error: Error, series: tuple[Sample, Sample], now: int) -> Event:
        """The event of an error of a switch, of which `series` are the counter and the last time."""
        labels = {
            "node": self._node,
            "nvswitch": error.switch,
            "sxid": str(error.code),
            "fatal": str(error.fatal).lower(),
        }
        what = f"P1: {FATAL_ACTION}" if error.fatal else "It is not fatal"
        words = meaning(line.code).meaning
        text = f"SXid {line.code} on NVSwitch {line.switch} of {self._node}: {words}. {what}."
        text = f"{text} The kernel says: {line.text[:_LONGEST]}" if line.text else text
        return Event("sxid", labels, series[0].value, now, text, self._ahead(series, line.times, now))

    def sentence(self, book: Book, device: Device, line: XidLine, entered: Entered, untold: int) -> str:
        """What happened to whom, and what to do."""
        judgement, verdict = entered.judgement, entered.verdict
        who = f"GPU {device.gpu}" if device.gpu else "a GPU"
        instance = f", MIG instance {line.gpu_instance}" if line.gpu_instance >= 0 else ""
        uuid = f" ({device.uuid}{instance})" if device.uuid else ""
        parts = [f"XID {judgement.code} on {who}{uuid} of {self._node}: {judgement.meaning}"]
        if line.pid or line.process:
            pid = f" (pid {line.pid})" if line.pid else ""
            parts.append(f"; of process {line.process or 'unknown'}{pid}")
        if untold > 1:
            parts.append(f"; {untold} times since it was last told")
        if entered.cause:
            parts.append(f"; it follows XID {entered.cause}, which is the cause")
        if verdict.repeated:
            parts.append("; it repeats")
        asked = book.recovery(device)
        driver = ", as the driver asks" if asked and book.action(device, verdict) != verdict.action else ""
        parts.append(f". {verdict.tier}: {self._table.actions[book.action(device, verdict)]}{driver}.")
        if line.text:
            parts.append(f" The kernel says: {line.text[:_LONGEST]}")
        return "".join(parts)

    def _ahead(self, series: Collection[Sample], times: int, now: int) -> tuple[Ahead, ...]:
        """A counter that nobody has seen is 0 a moment before, so that its increase is one."""
        samples = []
        for sample in series:
            labels = with_target_labels(Labels({**sample.labels, NAME: sample.name}), self._target)
            counter = sample.name.endswith("_total")
            if counter and labels not in self.known:
                samples.append(Ahead(labels, max(0.0, sample.value - times), now - 1))
            samples.append(Ahead(labels, sample.value, now))
        return tuple(samples)
