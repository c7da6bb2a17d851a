"""What the NVIDIA driver writes into the kernel's log, in all its dialects.

Formats: the driver's own (NVIDIA/open-gpu-kernel-modules, journal.c and NVSwitch's errors), and what syslog,
journald and dmesg put in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.xid.pci import ADDRESS, canonical


@dataclass(frozen=True, slots=True)
class XidLine:
    """An XID. `pid` is 0 and `process` empty where the driver does not know them."""

    pci: str
    code: int
    pid: int = 0
    process: str = ""
    text: str = ""
    gpu_instance: int = -1
    compute_instance: int = -1
    times: int = 1
    """More than one where syslog says that a message repeated."""


@dataclass(frozen=True, slots=True)
class SxidLine:
    """An error of an NVSwitch. `fatal` is None where the line does not say; `link` -1 likewise."""

    switch: str
    """Its number; the PCI address if it has none."""
    pci: str
    code: int
    fatal: bool | None
    link: int
    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class FallenOff:
    """The kernel says in plain words that a GPU has fallen off the bus."""

    pci: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class GpuAt:
    """The driver names the GPU at an address, as it does before its first XID."""

    pci: str
    uuid: str


Finding = XidLine | SxidLine | FallenOff | GpuAt

LONGEST = 4000
"""Characters of a line that are looked at: longer than any the driver writes."""

_XID = re.compile(
    rf"NVRM:\s*Xid\s*\(\s*(?:PCI:)?(?P<pci>{ADDRESS})(?:\s+GPU-I:(?P<gi>\d+))?(?:\s+GPU-CI:(?P<ci>\d+))?\s*\)"
    r"\s*:\s*(?P<code>\d{1,5})\b(?:\s*,\s*(?P<rest>.*))?",
    re.IGNORECASE,
)
_PROCESS = re.compile(r"pid=(?P<pid>\d+|'[^']*'|<[^>]*>)(?:\s*,\s*(?P<rest>.*))?")
_NAME = re.compile(r"name=(?P<rest>.*)")
_MESSAGE = re.compile(r"[A-Z0-9<(]|channel |ch |intr |link |unknown ")
"""How the driver's own words begin, after a process name that may hold commas."""
_COMM = 15
"""Characters of a process name in Linux (TASK_COMM_LEN less one)."""

_SXID = re.compile(
    rf"nvidia-nvswitch(?P<switch>\d*)\s*:\s*SXid\s*\(\s*(?:PCI:)?(?P<pci>{ADDRESS})\s*\)\s*:\s*(?P<code>\d{{1,5}})\b"
    r"\s*,?\s*(?P<rest>.*)",
    re.IGNORECASE,
)
_SXID_DETAIL = re.compile(r"Severity\s+\d|Data\s*\{|Engine\s+instance", re.IGNORECASE)
"""The second and third line of an SXid; the first is the one that counts."""
_FATAL = re.compile(r"(non-?)?fatal\b", re.IGNORECASE)
_LINK = re.compile(r"\blink\s+(\d{1,3})\b", re.IGNORECASE)

_FALLEN = re.compile(
    rf"NVRM:\s*(?:The NVIDIA )?GPU\s*(?:at\s+)?(?:PCI:)?(?P<pci>{ADDRESS})\b(?P<rest>.*)", re.IGNORECASE
)
_OFF_THE_BUS = re.compile(r"\bfallen off the bus\b", re.IGNORECASE)
_THE_GPU = re.compile(rf"NVRM:\s*The NVIDIA GPU\s+(?:PCI:)?(?P<pci>{ADDRESS})", re.IGNORECASE)
_UUID = re.compile(r"\s*:\s*(?P<uuid>GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)

_TIME = r"\d\d:\d\d:\d\d(?:[.,]\d+)?"
_DATE = (
    rf"[A-Z][a-z]{{2}} [ \d]\d (?:\d{{4}} )?{_TIME}"
    rf"|(?:[A-Z][a-z]{{2}} )?\d{{4}}-\d\d-\d\d[T ]{_TIME}(?:Z|[+-]\d\d:?\d\d)?(?: [A-Z]{{1,5}})?"
    r"|\d{9,12}\.\d+|\[\s*\d+\.\d+\]"
)
"""As syslog, journald (short, iso, full, unix and monotonic) and rsyslog write it."""
_HEAD = re.compile(
    rf"\s*(?:<\d{{1,3}}>)?(?:1 )?(?:(?:{_DATE}) +(?:\S*[^\s:] +)?)?kernel(?:\[\d+\])?(?::| - - -)\s*",
    re.ASCII,
)
"""What stands in front of the kernel's words in a log of many programs: the first tag is the kernel's."""
_STAMP = re.compile(
    r"\s*(?:kern\s*:\s*\w+\s*:\s*)?(?:\[[^\]]{1,40}\]\s*)*(?:message repeated (\d{1,6}) times: \[\s*)?"
)
"""What dmesg and the kernel itself put in front, and syslog's word for the same again."""
_JSON = re.compile(r'\s*\{.*"MESSAGE"\s*:\s*"')
_JSON_KERNEL = re.compile(r'"_TRANSPORT"\s*:\s*"kernel"')
_OURS = re.compile(r"NVRM:|nvidia-nvswitch", re.IGNORECASE)

_LONGEST_HEAD = 400  # characters; a host's name may have 255

_NEAR = 3
"""Lines of the driver over which the plain words may be spread."""


class KernelText:
    """Reads line after line. Keeps the address of a sentence that the driver breaks into several lines."""

    def __init__(self) -> None:
        self._pending = ""
        self._patience = 0

    def findings(self, text: str) -> list[Finding]:
        """What a record of the log says. Of what is not the driver's, nothing; never raises."""
        found: list[Finding] = []
        for line in text.splitlines():
            found.extend(self._line(line[:LONGEST]))
        return found

    def _line(self, line: str) -> Iterator[Finding]:
        ours = _OURS.search(line)
        times = 0 if ours is None else _times(line, ours.start())
        if ours is None or not times:
            return
        text = line[ours.start() :]
        if times > 1:
            text = text.rstrip().removesuffix("]")
        finding = self._xid(text, times) or _sxid(text, times) or self._words(text, times)
        if finding is not None:
            yield finding

    def _xid(self, text: str, times: int) -> XidLine | None:
        found = _XID.match(text)
        if found is None:
            return None
        pid, process, rest = _process(found["rest"] or "")
        gpu_instance, compute_instance = (int(found[name] or "-1") for name in ("gi", "ci"))
        return XidLine(
            canonical(found["pci"]),
            int(found["code"]),
            pid,
            process,
            rest.strip(),
            gpu_instance,
            compute_instance,
            times,
        )

    def _words(self, text: str, times: int) -> FallenOff | GpuAt | None:
        self._patience -= 1
        found = _FALLEN.match(text)
        if found is not None and (uuid := _UUID.match(found["rest"])):
            return GpuAt(canonical(found["pci"]), uuid["uuid"])
        if _OFF_THE_BUS.search(text) is None:
            begun = _THE_GPU.match(text)
            if begun is not None:
                self._pending, self._patience = canonical(begun["pci"]), _NEAR
            return None
        pending, self._pending = self._pending if self._patience >= 0 else "", ""
        if found is not None:
            return FallenOff(canonical(found["pci"]), times)
        return FallenOff(pending, times) if pending else None


def _times(line: str, start: int) -> int:
    """How often the kernel itself says what begins there; 0 if it is another who speaks."""
    if _JSON.fullmatch(line, 0, start):
        return 1 if _JSON_KERNEL.search(line) else 0
    if start > _LONGEST_HEAD:
        return 0
    head = _HEAD.match(line, 0, start)
    stamp = _STAMP.fullmatch(line, head.end() if head else 0, start)
    if stamp is None:
        return 0
    return max(1, int(stamp[1] or 1))


def _process(rest: str) -> tuple[int, str, str]:
    """Process number, name and the driver's words; 0 and nothing for what it calls unknown."""
    found = _PROCESS.match(rest)
    if found is None:
        return 0, "", rest
    digits, rest = found["pid"], found["rest"] or ""
    pid = int(digits) if digits.isdigit() and len(digits) < 12 else 0
    named = _NAME.match(rest)
    if named is None:
        return pid, "", rest
    name, words = _named(named["rest"])
    return pid, "" if name.strip("'").startswith("<") else name.strip(), words


def _named(rest: str) -> tuple[str, str]:
    """Splits a name that may hold commas from the words behind it."""
    parts = rest.split(", ")
    for count in range(1, len(parts)):
        name, words = ", ".join(parts[:count]), ", ".join(parts[count:])
        if count > 1 and len(name) > _COMM:
            break
        if _MESSAGE.match(words):
            return name, words
    return parts[0], ", ".join(parts[1:])


def _sxid(text: str, times: int) -> SxidLine | None:
    found = _SXID.match(text)
    if found is None or _SXID_DETAIL.match(found["rest"]):
        return None
    pci, rest = canonical(found["pci"]), found["rest"].strip()
    fatal, link = _FATAL.match(rest), _LINK.search(rest)
    return SxidLine(
        found["switch"] or pci,
        pci,
        int(found["code"]),
        None if fatal is None else not fatal[1],
        int(link[1]) if link else -1,
        rest,
        times,
    )
