"""`fleetowl rules export`: the packs as any Prometheus reads them.

`$scrapes(n)` becomes a duration, names that have aliases are written out, a group is not evaluated more often
than its targets are scraped, the side file stays behind. The
text is changed only where it must be: comments, layout and numbers stay as they are to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml

from model.moment import SECOND, format_duration, parse_duration
from model.settings import ConfigurationError, Problem
from rules.aliases import Aliases, expand_aliases
from rules.files import load_rule_file
from rules.promql.scrapes import with_interval
from wire.aliases import exposed

MARK = "# Written by `fleetowl rules export`: the next export writes it anew."
"""The first line of every file that an export writes, by which the next one knows it."""
_CHANGED = ("expr", "for", "keep_firing_for")


class Form(StrEnum):
    """A plain rule file, or an object of the Prometheus operator."""

    RULES = "rules"
    PROMETHEUSRULE = "prometheusrule"


@cache
def known_aliases() -> Aliases:
    """What other engines call the families of vLLM."""
    return {name: tuple(map(str, aliases)) for name, aliases in exposed().items()}


@dataclass(frozen=True, slots=True)
class Export:
    """How packs are written: for targets that are scraped every `interval` ms."""

    form: Form = Form.RULES
    interval: int = 15 * SECOND
    aliases: Aliases = field(default_factory=known_aliases)

    def write(self, packs: Sequence[Path], directory: Path) -> list[Path]:
        """Write the packs; answers with the files. What an earlier export left over is removed.

        Raises ConfigurationError, with nothing written, if the folder holds anything else or a pack is
        flawed; OSError if it cannot be written to.
        """
        texts = {directory / self._file_name(pack): self.text(pack) for pack in packs}
        leftover = set(_earlier(directory)) - set(texts)
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        for path in leftover:
            path.unlink()
        return list(texts)

    def text(self, pack: Path) -> str:
        """What is written for a pack. Raises ConfigurationError if the pack would not load."""
        load_rule_file(pack)
        interval = format_duration(self.interval)
        source = pack.read_text(encoding="utf-8")
        head = f"{MARK}\n# From {pack.name}, for targets that are scraped every {interval}.\n"
        body = self._rewritten(source)
        return head + (body if self.form is Form.RULES else _as_object(body, _pack_name(pack)))

    def _file_name(self, pack: Path) -> str:
        return f"{_pack_name(pack)}.{self.form}.yml"

    def _rewritten(self, source: str) -> str:
        pieces, position = [], 0
        for key, node in _scalars(yaml.compose(source, yaml.BaseLoader)):
            start, end = node.start_mark.index, node.end_mark.index
            pieces.append(source[position:start])
            pieces.append(self._scalar(key, node, source[start:end]))
            position = end
        return "".join([*pieces, source[position:]])

    def _scalar(self, key: yaml.ScalarNode, node: yaml.ScalarNode, written: str) -> str:
        if key.value == "interval":
            return written if parse_duration(node.value) >= self.interval else format_duration(self.interval)
        wide = expand_aliases(node.value, self.aliases) if key.value == "expr" else node.value
        if wide == node.value:
            return with_interval(written, self.interval)
        return _as_scalar(with_interval(wide, self.interval), node, key.start_mark.column)


def _pack_name(pack: Path) -> str:
    return pack.name.removesuffix(pack.suffix).removesuffix(".rules")


def _scalars(document: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.ScalarNode]]:
    """Key and value of what changes in rules, in the order of the text."""
    for group in _items(_value(document, "groups")):
        for key, node in group.value if isinstance(group, yaml.MappingNode) else ():
            if key.value == "interval":
                yield key, node
        for rule in _items(_value(group, "rules")):
            for key, node in rule.value if isinstance(rule, yaml.MappingNode) else ():
                if isinstance(node, yaml.ScalarNode) and key.value in _CHANGED:
                    yield key, node


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _as_scalar(text: str, node: yaml.ScalarNode, column: int) -> str:
    """A changed expression in YAML: a block where one stood, else a quoted line."""
    if node.style not in ("|", ">"):
        return json.dumps(text, ensure_ascii=False)
    lines = text.strip().splitlines()
    indent = " " * (column + 2)
    return "|\n" + "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)


def _as_object(rules: str, name: str) -> str:
    """A PrometheusRule with the text of a rule file as its spec."""
    spec = "".join(f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))
    return (
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        "metadata:\n"
        f"  name: fleetowl-{name.replace('_', '-').lower()}\n"
        "  labels:\n"
        "    app.kubernetes.io/name: fleetowl\n"
        "    app.kubernetes.io/component: rules\n"
        "    role: alert-rules\n"
        "spec:\n"
        f"{spec}"
    )


def _earlier(directory: Path) -> list[Path]:
    """What an earlier export wrote. Raises ConfigurationError if the folder holds anything else."""
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError([Problem(str(directory), "", "is no folder", "give --output a folder")])
    inside = sorted(directory.iterdir()) if directory.exists() else []
    foreign = [path for path in inside if not _is_ours(path)]
    if foreign:
        names = ", ".join(path.name for path in foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        message = f"holds what no export wrote ({names}); an export replaces only its own files"
        raise ConfigurationError([Problem(str(directory), "", message, "give --output a folder of its own")])
    return inside


def _is_ours(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return file.readline().rstrip(b"\r\n") == MARK.encode()
