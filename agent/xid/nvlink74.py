"""XID 74 (NVLink up to Hopper): what the bits of its seven registers mean.

Source: NVIDIA's catalogue of XIDs, workflow for NVLink errors. The first, third, fourth and fifth count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Sign(IntEnum):
    """What a bit is a sign of, the mildest first."""

    HARMLESS = 0
    CORRECTED = 1
    """Many corrected errors, none uncorrected: it may go on."""
    SECONDARY = 2
    """Follows an error elsewhere."""
    REPEATS = 3
    """Matters if it comes again."""
    PARITY = 4
    """ECC or parity: hardware if it is there more than twice on one link."""
    SIGNAL = 5
    """The signal on the link is marginal."""
    UNEXPECTED = 6
    """Not to be seen in production."""
    FABRIC = 7
    """Follows an error elsewhere, and the fabric is to be reset."""
    HARDWARE = 8
    """May be the hardware: seat, cable, link."""


IN_WORDS: Mapping[Sign, str] = {
    Sign.HARMLESS: "harmless",
    Sign.CORRECTED: "many corrected errors, it may go on",
    Sign.SECONDARY: "follows an error elsewhere",
    Sign.REPEATS: "matters if it comes again",
    Sign.PARITY: "ECC or parity, hardware if more than twice on one link",
    Sign.SIGNAL: "marginal signal",
    Sign.UNEXPECTED: "not to be seen in production",
    Sign.FABRIC: "follows an error elsewhere and asks for a reset of the fabric",
    Sign.HARDWARE: "may be the hardware of the link",
}

BITS: Mapping[int, Mapping[Sign, Sequence[int]]] = {
    1: {
        Sign.HARMLESS: (0, 23, 30),
        Sign.SECONDARY: (1, 20),
        Sign.PARITY: (4, 5),
        Sign.HARDWARE: (8, 9, 12, 16, 17, 24, 28),
        Sign.SIGNAL: (21, 22),
        Sign.REPEATS: (27, 29),
    },
    3: {
        Sign.PARITY: (0, 1, 2, 6),
        Sign.UNEXPECTED: (13,),
        Sign.REPEATS: (16, 17, 18, 19),
    },
    4: {Sign.SECONDARY: (16, 17), Sign.FABRIC: (18,)},
    5: {
        Sign.PARITY: (18, 19, 21, 22, 24, 25, 27, 28),
        Sign.CORRECTED: (20, 23, 26, 29),
    },
}
"""Bits by what they are a sign of, by register (the first is 1)."""

_SIGNS = {
    (register, bit): sign for register, signs in BITS.items() for sign, bits in signs.items() for bit in bits
}
_TEXT = re.compile(
    r"link\s+(?P<link>\d{1,3})\s*\(\s*(?P<words>0x[0-9a-f]+(?:\s*,?\s*0x[0-9a-f]+){6})\s*\)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The worst sign of a link's registers; None if no bit is set or one is in no list."""

    link: int
    sign: Sign | None
    bits: tuple[tuple[int, int], ...]
    """Register and bit of all that are set."""


def decode(text: str) -> Decoded | None:
    """The registers in the text of an XID 74; None if they are not there."""
    found = _TEXT.search(text)
    if found is None:
        return None
    registers = [int(word, 16) for word in re.findall(r"0x[0-9a-f]+", found["words"], re.IGNORECASE)]
    bits = tuple(
        (number, bit)
        for number, register in enumerate(registers, 1)
        for bit in range(register.bit_length())
        if register >> bit & 1
    )
    signs = [_SIGNS.get(place) for place in bits]
    known = [sign for sign in signs if sign is not None]
    complete = len(known) == len(signs) and known
    return Decoded(int(found["link"]), max(known) if complete else None, bits)
