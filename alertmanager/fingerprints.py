"""Fingerprints of many label sets at once: the bytes of all of them stand in columns, hashed together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from model.labels import FNV_OFFSET, FNV_PRIME, Labels

WORTHWHILE = 32
"""From so many label sets on the columns are faster than one after the other."""
LONGEST = 4096
"""Bytes; a longer label set is hashed by itself, so that it does not widen the columns of the others."""
AT_ONCE = 1024
"""Label sets whose columns still fit into the cache of a core."""

_SEPARATOR = "\udcff"  # the byte 0xff, which stands in no UTF-8 text


def prefill(labels: Sequence[Labels]) -> None:
    """Work out the fingerprints of these label sets, so that whoever asks for one finds it there."""
    missing = [one for one in labels if "fingerprint" not in one.__dict__]
    if len(missing) < WORTHWHILE:
        return
    for first in range(0, len(missing), AT_ONCE):
        _fill(missing[first : first + AT_ONCE])


def _fill(labels: Sequence[Labels]) -> None:
    texts = [_bytes(one) for one in labels]
    chosen = sorted(
        (place for place, text in enumerate(texts) if len(text) <= LONGEST),
        key=lambda place: len(texts[place]),
        reverse=True,
    )
    hashes = fnv1a([texts[place] for place in chosen]).tolist()
    for place, found in zip(chosen, hashes, strict=True):
        labels[place].__dict__["fingerprint"] = found


def _bytes(labels: Labels) -> bytes:
    """Name, 0xff, value, 0xff for each label, as the fingerprint wants them."""
    if not labels.pairs:
        return b""
    parts = _SEPARATOR.join(chain.from_iterable(labels.pairs))
    return parts.encode("utf-8", "surrogateescape") + b"\xff"


def fnv1a(texts: Sequence[bytes]) -> NDArray[np.uint64]:
    """The 64-bit FNV-1a hash of each text, uint64[len(texts)]; they come longest first."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    width = int(lengths[0]) if texts else 0
    columns = np.frombuffer(b"".join(text.ljust(width, b"\0") for text in texts), np.uint8)
    columns = columns.reshape(len(texts), width).T.astype(np.uint64)
    # How many texts are longer than each place: those, and no others, have a byte there.
    reach = np.searchsorted(-lengths, -np.arange(1, width + 1), side="right").tolist()
    state = np.full(len(texts), FNV_OFFSET, np.uint64)
    prime = np.uint64(FNV_PRIME)
    for column, count in zip(columns, reach, strict=True):
        part = state[:count]
        np.bitwise_xor(part, column[:count], out=part)
        np.multiply(part, prime, out=part)
    return state
