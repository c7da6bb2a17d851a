"""What one XID means: the catalogue's entry, and what the kernel's text says beyond the number."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from agent.xid import nvlink5, nvlink74
from agent.xid.catalogue import Decoder, Entry
from agent.xid.nvlink74 import Sign
from agent.xid.settings import Class, RepeatSettings, Tier

RECOVERY: Mapping[int, tuple[str, str]] = {
    0: ("none", "ignore"),
    1: ("reset of the GPU", "reset_gpu"),
    2: ("reboot of the node", "reboot_node"),
    3: ("drain of peer-to-peer traffic", "drain_p2p"),
    4: ("drain and reset", "drain_reset"),
    5: ("recovery of the IMEX domain", "recover_imex"),
    6: ("reset of the bus", "reset_bus"),
    7: ("reboot of the system", "reboot_node"),
}
"""The driver's verdicts in words, and our action (NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, field 230)."""

_NAMES = {
    "none": 0,
    "gpu reset required": 1,
    "pf flr": 1,
    "node reboot required": 2,
    "os reboot": 2,
    "drain p2p": 3,
    "drain and reset": 4,
}
"""How the kernel's text spells them, by driver branch. The name goes before the number, which has changed."""

_CHANGED_TO = re.compile(r"\bto\s+(?:0x)?(?P<number>[0-9a-f]{1,2})\s*\((?P<name>[^)]{1,60})\)", re.IGNORECASE)
_PLACE = re.compile(r"\(GPC\s*(\d{1,3}),\s*TPC\s*(\d{1,3})", re.IGNORECASE)
_CAUSE = re.compile(r"caused by previous Xid (\d{1,4})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an XID means and asks for. `decoded` if its text was read as far as its kind can be."""

    code: int
    tier: Tier
    class_: Class
    action: str
    meaning: str
    repeat: RepeatSettings | None = None
    unit: str = ""
    """The part of the GPU that it names."""
    recovery: int | None = None
    """The driver's new verdict."""
    cause: int = 0
    """The code that it follows, as the text says; 0 if it does not."""
    decoded: bool = True


def judge(entry: Entry, text: str = "", driver: str = "") -> Judgement:
    """What an XID with this text (empty: only the number is known) means under a driver version."""
    plain = Judgement(entry.code, entry.tier, entry.class_, entry.action, entry.meaning, entry.repeat)
    place, cause = _PLACE.search(text), _CAUSE.search(text)
    if place is not None:
        plain = replace(plain, unit=f"GPC {place[1]}, TPC {place[2]}")
    if cause is not None:
        plain = replace(plain, cause=int(cause[1]))
    if entry.decode is None:
        return plain
    return _DECODERS[entry.decode](plain, text, driver)


def recovery_action(text: str) -> int | None:
    """The verdict that the text of an XID 154 says the driver has come to; None if it says none that we know.

    >>> recovery_action("GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)")
    4
    >>> recovery_action("GPU recovery action changed from 0x2 (OS Reboot) to 0x0 (None)")
    0
    """
    found = _CHANGED_TO.search(text)
    if found is None:
        return None
    number = int(found["number"], 16)
    return _NAMES.get(found["name"].strip().lower(), number if number in RECOVERY else None)


def _recovery(plain: Judgement, text: str, driver: str) -> Judgement:
    action = recovery_action(text)
    if action is None:
        return replace(plain, decoded=False)
    words, ours = RECOVERY[action]
    if action == 0:
        return replace(
            plain, tier="P3", action=ours, meaning="the driver asks for nothing any more", recovery=action
        )
    return replace(
        plain, tier="P1", action=ours, meaning=f"the driver's own verdict is: {words}", recovery=action
    )


def _nvlink5(plain: Judgement, text: str, driver: str) -> Judgement:
    found = nvlink5.decode(plain.code, text, driver)
    if found is None or found.outcome is None:
        return replace(plain, decoded=False)
    tier, action = _NVLINK5[found.outcome]
    link = f" on link {found.link}" if found.link >= 0 else ""
    sure = "" if found.by_table else ", by the word " + ("fatal" if found.fatal else "nonfatal")
    return replace(
        plain, tier=tier, action=action, meaning=f"{plain.meaning} ({found.name}{link}{sure})", unit=link[4:]
    )


def _nvlink74(plain: Judgement, text: str, driver: str) -> Judgement:
    found = nvlink74.decode(text)
    if found is None:
        return replace(plain, decoded=False)
    unit = f"link {found.link}"
    if found.sign is None:
        return replace(plain, unit=unit)
    tier, action, times = _NVLINK74[found.sign]
    repeat = _on_one_link(times) if times else None
    words = nvlink74.IN_WORDS[found.sign]
    return replace(
        plain,
        tier=tier,
        action=action,
        meaning=f"an error on NVLink {found.link}: {words}",
        repeat=repeat,
        unit=unit,
    )


@cache
def _on_one_link(times: int) -> RepeatSettings:
    rule = {"times": times, "within": "24h", "tier": "P1", "action": "check_link", "same": "unit"}
    return RepeatSettings.model_validate(rule)


_DECODERS: Mapping[Decoder, Callable[[Judgement, str, str], Judgement]] = {
    "recovery": _recovery,
    "nvlink5": _nvlink5,
    "nvlink74": _nvlink74,
}

_NVLINK5: Mapping[nvlink5.Outcome, tuple[Tier, str]] = {
    "ignore": ("P3", "ignore"),
    # The application dies; an XID 154 says whether more is needed, and pages by itself.
    "app": ("P2", "restart_app"),
    "reset": ("P1", "reset_gpu"),
}

_NVLINK74: Mapping[Sign, tuple[Tier, str, int]] = {
    Sign.HARMLESS: ("P3", "ignore", 0),
    Sign.CORRECTED: ("P3", "ignore", 0),
    Sign.SECONDARY: ("P3", "check_peer", 0),
    Sign.REPEATS: ("P3", "check_peer", 2),
    Sign.PARITY: ("P2", "diagnose", 3),
    Sign.SIGNAL: ("P2", "check_link", 0),
    Sign.UNEXPECTED: ("P2", "support", 0),
    Sign.FABRIC: ("P1", "reset_gpu", 0),
    Sign.HARDWARE: ("P1", "check_link", 0),
}
"""Tier and action of a sign, and how often within a day on one link it means the hardware (0: never)."""
