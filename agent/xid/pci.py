"""PCI addresses, which the kernel and the driver spell in many ways."""

from __future__ import annotations

import re

ADDRESS = r"[0-9a-fA-F]{1,8}(?::[0-9a-fA-F]{2}){1,2}(?:\.[0-9a-fA-F])?"
"""Domain, bus and device, the domain of any length or not there, the function or not."""

_PARTS = re.compile(
    r"(?:PCI:)?(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,4}):([0-9a-f]{2})(?:\.[0-9a-f])?", re.IGNORECASE
)


def canonical(text: str) -> str:
    """One spelling for all: the kernel's, without the function. Raises ValueError if it is no address.

    >>> canonical("00000000:B3:00.0"), canonical("PCI:0000:b3:00"), canonical("0003:00")
    ('0000:b3:00', '0000:b3:00', '0000:03:00')
    """
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no PCI address")
    domain, bus, device = (int(part or "0", 16) for part in found.groups())
    return f"{domain:04x}:{bus:02x}:{device:02x}"
