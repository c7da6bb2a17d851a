"""The text exposition formats (text/plain 0.0.4 and 1.0.0, OpenMetrics), decoded fast in plain Python.

A target says the same series again and again; only the numbers change. So the decoder keeps, for each
target, what stands before the number, as bytes, and a known line costs one slice, one dictionary look-up and
one float(). A line it does not know (new, with a timestamp, an exemplar, odd spacing) goes to the careful
parser of wire/line.py, which decides once what the bytes before the number mean. Comparing each line with the
one at its place in the body before was tried: it is hardly faster, for the lines have to be cut apart anyway.

A body cut off inside its last number cannot be told from a whole one: only Content-Length or OpenMetrics'
`# EOF` can, so the caller compares the former and this module insists on the latter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from model.labels import Labels
from wire.limits import beyond
from wire.line import MalformedLine, SampleLine, TypeLine, excerpt, parse_line
from wire.repeat import Repeat

SENTINELS = frozenset(
    [float(0x7FFFFFF0 + kind) for kind in range(4)]
    + [float(0x7FFFFFFFFFFFFFF0)]  # all four int64 ones round to this float
    + [140737488355328.0 + kind for kind in range(4)]
)
"""What DCGM writes for "blank, not found, not supported, not permitted" (dcgm_structs.h)."""

_PLAIN_DIGITS = b"0123456789.eE+- "
_USUAL_WORDS = (b" NaN", b" +Inf", b" -Inf", b" Inf")
_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


@dataclass(frozen=True, slots=True)
class TextLimits:
    """What one body may hold. Series beyond a limit are refused and counted; the rest is stored."""

    line_length: int = 128 * 1024
    """Bytes of a line, its number included."""
    labels: int = 128
    """Labels of a series, the name included."""
    label_name_length: int = 1024
    """Bytes of a label's name."""
    label_value_length: int = 16 * 1024
    """Bytes of a label's value or of a metric's name."""
    samples: int = 1_000_000
    """Samples in one body."""
    comment_bytes: int = 4 * 1024 * 1024
    """Bytes of comments, metadata among them, that are remembered; beyond, comments are not looked at."""
    keep_scrapes: int = 20
    """Scrapes for which the decoder remembers a series that it no longer sees."""


class MalformedExposition(ValueError):
    """The body breaks the format; nothing of it may be stored."""

    def __init__(self, line_number: int, why: str, line: bytes) -> None:
        super().__init__(f"line {line_number}: {why}: {excerpt(line)}")
        self.line_number = line_number
        self.why = why


@dataclass(slots=True)
class Exposition:
    """The samples of one body. All lists are aligned, in the order of the body."""

    ids: list[int]
    """Positions in the decoder's `labels`."""
    values: list[float]
    timestamps: list[int] | None = None
    """Explicit times, ms since the epoch, 0 where a line has none; None if no line has one."""
    refused: dict[str, int] = field(default_factory=dict)
    """Samples left out, by reason."""
    generation: int = 0
    """Changes when the decoder has renumbered its ids."""


def types_of_family(family: str, kind: str) -> list[tuple[str, str]]:
    """The names under which a family's series go, each with its type.

    >>> types_of_family("x", "summary")
    [('x', 'summary'), ('x_sum', 'summary'), ('x_count', 'summary'), ('x_created', 'gauge')]
    """
    suffixes = _SUFFIXES.get(kind, ())
    created = [(family + "_created", "gauge")] if suffixes else []
    return [(family, kind), *((family + suffix, kind) for suffix in suffixes), *created]


class _Rows:
    """What a pass over the lines collects."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.numbers: list[bytes] = []
        self.times: dict[int, int] = {}
        self.refused: Counter[str] = Counter()


class TextDecoder:
    """Decoder for the bodies of one target; remembers the target's series from scrape to scrape.

    With `repeats` it keeps the last body too and reads only the lines that changed, which is twice to four
    times as fast where the same series come again.

    >>> decoder = TextDecoder()
    >>> found = decoder.decode(b'up{job="a"} 1\\n')
    >>> found.values, decoder.labels[found.ids[0]]
    ([1.0], up{job="a"})
    """

    def __init__(self, limits: TextLimits | None = None, repeats: bool = False) -> None:
        self.limits = limits or TextLimits()
        self._repeats = repeats
        self._repeat: tuple[bool, Repeat] | None = None
        self.labels: list[Labels] = []
        self.types: dict[str, str] = {}
        self.generation = 0
        self._families: dict[str, str] = {}
        self._known: dict[bytes, int] = {}  # what stands before a number, the last space included
        self._comments: set[bytes] = {b""}
        self._comment_bytes = 0
        self._by_labels: dict[Labels, int] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}  # one object a pair, for all series
        self._blankable: set[int] = set()  # ids of DCGM_* series, which may hold a sentinel
        self._seen: list[int] = []
        self._previous: list[int] = []
        self._scrapes = 0

    def decode(self, body: bytes, content_type: str = "") -> Exposition:
        """The samples of `body`.

        `content_type` is the HTTP header; with OpenMetrics in it, times are seconds and `# EOF` must end
        the body. Raises MalformedExposition; nothing of such a body is to be stored.
        """
        self._scrapes += 1
        if self._scrapes % self.limits.keep_scrapes == 0:
            self.forget(self.limits.keep_scrapes)
        openmetrics = "openmetrics" in content_type
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n")
        lines = body.split(b"\n")
        if openmetrics:
            _check_end(lines)
        try:
            rows, values = self._rows(lines, openmetrics)
        except MalformedLine as error:
            raise _locate(error, lines, openmetrics) from error
        return self._exposition(rows, values)

    @property
    def comments(self) -> frozenset[bytes]:
        """The comment lines that the target shows, among them its metadata (wire/metadata.py)."""
        return frozenset(self._comments)

    def _rows(self, lines: list[bytes], openmetrics: bool) -> tuple[_Rows, list[float]]:
        """The samples by the fastest way that gives them for sure. Raises MalformedLine."""
        again = self._repeated_path(lines, openmetrics)
        if again is not None:
            return again
        rows = self._known_path(lines, openmetrics)
        values = _plain_values(rows.numbers)
        if values is not None:
            if self._repeats:
                self._note_repeat(lines, openmetrics, rows, values)
            return rows, values
        rows = self._careful_path(lines, openmetrics)
        return rows, list(map(float, rows.numbers))

    def _repeated_path(self, lines: list[bytes], openmetrics: bool) -> tuple[_Rows, list[float]] | None:
        """The same series as in the body before; None if it is otherwise, or a number is spelled oddly."""
        if self._repeat is None or self._repeat[0] != openmetrics:
            return None
        repeat = self._repeat[1]
        changed = repeat.changed(lines)
        values = _plain_values(changed[1]) if changed is not None else None
        if changed is None or values is None:
            return None
        rows = _Rows()
        rows.ids = repeat.ids
        return rows, repeat.renew(lines, changed[0], values)

    def _note_repeat(self, lines: list[bytes], openmetrics: bool, rows: _Rows, values: list[float]) -> None:
        """Remember the body if each of its samples stands on a line whose meaning is known by now."""
        self._repeat = None
        if rows.times or rows.refused:
            return
        own = dict(zip(self._known, self._known, strict=True))  # the objects that are there already
        prefixes: list[bytes | None] = []
        places, row = [], 0
        for line in lines:
            prefixes.append(own.get(line[: line.rfind(b" ") + 1]))
            places.append(row)
            row += prefixes[-1] is not None
        if row == len(rows.ids):
            self._repeat = openmetrics, Repeat(lines, prefixes, places, rows.ids, values.copy())

    def _known_path(self, lines: list[bytes], openmetrics: bool) -> _Rows:
        rows = _Rows()
        ids, numbers, comments, find = rows.ids, rows.numbers, self._comments, self._known.get
        for line in lines:
            cut = line.rfind(b" ") + 1
            known = find(line[:cut])
            if known is not None:
                ids.append(known)
                numbers.append(line[cut:])
            elif line not in comments:
                self._unknown_line(line, openmetrics, rows)
        return rows

    def _careful_path(self, lines: list[bytes], openmetrics: bool) -> _Rows:
        """The same rows, each line parsed with care: for a body with numbers in unusual spelling."""
        rows = _Rows()
        for line in lines:
            self._parse(line, openmetrics, rows)
        return rows

    def _unknown_line(self, line: bytes, openmetrics: bool, rows: _Rows) -> None:
        """A line with its own time whose series is known, else one for the careful parser."""
        sample, _, time = line.rpartition(b" ")
        if not openmetrics and time.isdigit() and len(time) <= 16:
            cut = sample.rfind(b" ") + 1
            known, value = self._known.get(sample[:cut]), sample[cut:]
            if known is not None and value:
                rows.times[len(rows.ids)] = int(time) or 1
                rows.ids.append(known)
                rows.numbers.append(value)
                return
        self._parse(line, openmetrics, rows)

    def _parse(self, line: bytes, openmetrics: bool, rows: _Rows) -> None:
        if len(line) > self.limits.line_length:
            if not line.lstrip(b" \t").startswith(b"#"):
                rows.refused["line_length"] += 1
            return
        if self._comment_bytes > self.limits.comment_bytes and line.lstrip(b" \t")[:1] in (b"#", b""):
            return
        parsed = parse_line(line, openmetrics)
        if isinstance(parsed, SampleLine):
            self._sample(parsed, line, rows)
            return
        if isinstance(parsed, TypeLine):
            self._learn_type(parsed)
        if line not in self._comments:
            self._comments.add(line)
            self._comment_bytes += len(line)

    def _sample(self, parsed: SampleLine, line: bytes, rows: _Rows) -> None:
        reason = self._refusal(parsed.pairs, len(line))
        if reason:
            rows.refused[reason] += 1
            return
        local = self._local_id(Labels([self._pairs.setdefault(pair, pair) for pair in parsed.pairs]))
        if parsed.plain:
            self._known[line[: -len(parsed.number)]] = local
        if parsed.time is not None:
            rows.times[len(rows.ids)] = parsed.time
        rows.ids.append(local)
        rows.numbers.append(parsed.number)

    def _refusal(self, pairs: list[tuple[str, str]], size: int) -> str:
        twice = len({name for name, _ in pairs}) != len(pairs)
        return beyond(self.limits, pairs, size) or ("duplicate_label" if twice else "")

    def _local_id(self, labels: Labels) -> int:
        local = self._by_labels.setdefault(labels, len(self.labels))
        if local == len(self.labels):
            self.labels.append(labels)
            self._seen.append(self._scrapes)
            if labels.name.startswith("DCGM_"):
                self._blankable.add(local)
        return local

    def _learn_type(self, line: TypeLine) -> None:
        self._families[line.family] = line.type
        for name, kind in types_of_family(line.family, line.type):
            self.types[name] = self._families.get(name, kind)

    def _exposition(self, rows: _Rows, values: list[float]) -> Exposition:
        ids, refused = rows.ids, rows.refused
        times = [rows.times.get(row, 0) for row in range(len(ids))] if rows.times else None
        keep: list[int] | None = None
        if ids != self._previous:
            keep = _first_of_each(ids, times)
            if keep is not None:
                refused["duplicate"] += len(ids) - len(keep)
            self._note_seen(ids)
        if self._blankable and not SENTINELS.isdisjoint(values):
            rest = keep if keep is not None else range(len(ids))
            keep = [row for row in rest if not self._is_blank(ids[row], values[row])]
            refused["sentinel"] += len(rest) - len(keep)
        if len(ids if keep is None else keep) > self.limits.samples:
            rest = list(range(len(ids))) if keep is None else keep
            keep = rest[: self.limits.samples]
            refused["sample_limit"] += len(rest) - len(keep)
        if keep is not None:
            ids, values = [ids[row] for row in keep], [values[row] for row in keep]
            times = [times[row] for row in keep] if times is not None else None
        return Exposition(ids, values, times, dict(+refused), self.generation)

    def _is_blank(self, local: int, value: float) -> bool:
        return local in self._blankable and value in SENTINELS

    def _note_seen(self, ids: list[int]) -> None:
        """Scrapes like the one before leave no mark; the mark of the last of them is set here."""
        for local in self._previous:
            self._seen[local] = self._scrapes - 1
        for local in ids:
            self._seen[local] = self._scrapes
        self._previous = ids if len(set(ids)) == len(ids) else []

    def forget(self, scrapes: int) -> None:
        """Drop the series unseen for so many scrapes, if there are enough of them to be worth it."""
        for local in self._previous:
            self._seen[local] = self._scrapes
        oldest = self._scrapes - scrapes
        alive = [local for local, seen in enumerate(self._seen) if seen >= oldest]
        full = self._comment_bytes > self.limits.comment_bytes
        if full or len(self._comments) > 4 * len(alive) + 1000:
            self._forget_comments()
        if len(self._known) > 4 * len(alive) + 1000:
            self._known.clear()  # many spellings of few series; they are learned again
        if len(self.labels) - len(alive) <= 100 + len(alive) // 4:
            return
        renumbered = {old: new for new, old in enumerate(alive)}
        self._known = {key: renumbered[old] for key, old in self._known.items() if old in renumbered}
        self._blankable = {renumbered[old] for old in self._blankable if old in renumbered}
        self.labels = [self.labels[old] for old in alive]
        self._seen = [self._seen[old] for old in alive]
        self._by_labels = {labels: local for local, labels in enumerate(self.labels)}
        self._previous = []
        self.generation += 1
        self._forget_comments()

    def _forget_comments(self) -> None:
        self._pairs.clear()
        self._repeat = None  # it takes comments for known, and its ids may be others now
        self._comments, self._comment_bytes = {b""}, 0
        self._families.clear()
        self.types.clear()


def _plain_values(numbers: list[bytes]) -> list[float] | None:
    """The numbers, or None if one is spelled in a way where float() and Prometheus may differ.

    Each spelling is read once: the buckets of a page's histograms share most of their counts.
    """
    read: dict[bytes, float] = {}
    try:
        for number in set(numbers):
            read[number] = float(number)
    except ValueError:
        return None
    joined = b" " + b" ".join(read)
    if joined.translate(None, _PLAIN_DIGITS):
        for word in _USUAL_WORDS:
            joined = joined.replace(word, b"")
        if joined.translate(None, _PLAIN_DIGITS):
            return None
    if not math.isfinite(sum(read.values())) and _overflows(read, read.values()):
        return None
    return list(map(read.__getitem__, numbers))


def _overflows(numbers: Iterable[bytes], values: Iterable[float]) -> bool:
    return any(
        math.isinf(value) and not number.endswith(b"f") for number, value in zip(numbers, values, strict=True)
    )


def _first_of_each(ids: list[int], times: list[int] | None) -> list[int] | None:
    """The rows to keep where a series comes twice at one time; None if there is nothing to drop."""
    if len(set(ids)) == len(ids):
        return None
    keep, seen = [], set()
    for row, local in enumerate(ids):
        key = (local, times[row] if times is not None else 0)
        if key not in seen:
            seen.add(key)
            keep.append(row)
    return keep if len(keep) < len(ids) else None


def _check_end(lines: list[bytes]) -> None:
    """OpenMetrics: `# EOF` is the last line, so that a cut-off body can be told."""
    last = len(lines) - 1
    while last > 0 and not lines[last]:
        last -= 1
    if lines[last] != b"# EOF":
        raise MalformedExposition(last + 1, "an OpenMetrics body must end with # EOF", lines[last])


def _locate(error: MalformedLine, lines: list[bytes], openmetrics: bool) -> MalformedExposition:
    for number, line in enumerate(lines, start=1):
        try:
            parse_line(line, openmetrics)
        except MalformedLine as found:
            return MalformedExposition(number, str(found), line)
    return MalformedExposition(0, str(error), b"")
