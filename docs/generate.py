"""Writes the documents that list things, from the things themselves.

python -m docs.generate          # write docs/{configuration,metrics,rules,cli,engines,xid}.md,
                                 # and the checks in docs/writing-rules.md
python -m docs.generate --check  # exit 1 if one of them is not what it would write
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import click
import yaml
from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from agent.registry import Collector
from agent.xid import catalogue, sxid
from detectors.results import RESULTS
from fleetowl.cli import main as front
from fleetowl.configuration import Configuration
from model.metric import Metric
from rules.lint.registry import discover
from rules.packs import shipped
from wire import aliases

DOCS = Path(__file__).parent
ROOMS = ("agent", "telemetry", "detectors", "rules", "alertmanager", "incidents", "runbooks", "analyzer")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def metrics() -> dict[str, list[Metric]]:
    """Every family that a room declares in a METRICS of one of its modules, or in one of its collectors."""
    found: dict[str, list[Metric]] = {}
    for room in ROOMS:
        package = importlib.import_module(room)
        families: set[Metric] = set()
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            families.update(declared_in(importlib.import_module(module.name)))
        # The analyzer repeats what the rooms below it declare.
        found[room] = sorted(families.difference(*found.values()))
    return found


def declared_in(module: ModuleType) -> Iterator[Metric]:
    """The families of a module's METRICS, and Fleetowl's own ones among those of its collectors."""
    yield from getattr(module, "METRICS", ())
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Collector):
            yield from (metric for metric in value.metrics if metric.name.startswith("fleetowl_"))


def metrics_page() -> str:
    """docs/metrics.md."""
    parts = ["# Fleetowl's own metrics\nExposed on /metrics of the process that runs the room.\n"]
    for room, families in metrics().items():
        if families:
            rows = [[f"`{m.name}`", m.type, ", ".join(m.labels), m.help] for m in families]
            parts.append(f"## {room}\n{table(['metric', 'type', 'labels', 'meaning'], rows)}")
    rows = [[f"`{m.name}`", ", ".join(m.labels), m.help] for m in RESULTS]
    parts.append(
        "## Results of the detectors\nSeries of the window, for queries and rules, not on /metrics: those of "
        "entities always, those of series for the metrics that a rule or a query names (see detection.md)."
        "\n\n" + table(["series", "labels", "meaning"], rows)
    )
    return "\n".join(parts)


def configuration_page() -> str:
    """docs/configuration.md."""
    parts = [
        "# Configuration\nOne YAML file with a section per room; every key may be left out. "
        "Unknown keys are errors. Durations are written as `15s`, `5m`, `1h30m`; "
        "sizes as `500KB`, `10MB`, `1GiB`, whose units are powers of 1024. "
        "`FLEETOWL_SECTION__KEY` in the environment wins over the file. "
        "SIGHUP or POST /-/reload takes a changed file over, whole or not at all.\n"
    ]
    for name, info in Configuration.model_fields.items():
        rows = list(settings_rows(name, info))
        parts.append(f"## {name}\n{info.description}\n\n{table(['key', 'default', 'meaning'], rows)}")
    return "\n".join(parts)


def settings_rows(path: str, info: FieldInfo) -> Iterator[list[str]]:
    """One row a key, nested models unfolded. Raises LookupError for a key without description."""
    inner, repeated = model_in(info.annotation)
    if inner is None:
        if not info.description:
            raise LookupError(f"{path} has no description")
        yield [f"`{path}`", default_of(info), info.description]
        return
    prefix = f"{path}[]" if repeated else path
    if "." in path or repeated:
        yield [f"`{prefix}`", "", info.description or ""]
    for name, field in inner.model_fields.items():
        key = f"{prefix}.{field.alias or name}"
        if model_in(field.annotation)[0] is inner:
            yield [f"`{key}`", default_of(field), field.description or ""]
        else:
            yield from settings_rows(key, field)


def model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The settings model in an annotation, and whether it may stand several times."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in getattr(annotation, "__args__", ()):
        inner, repeated = model_in(part)
        if inner is not None:
            return inner, repeated or getattr(annotation, "__origin__", None) in (list, tuple, dict)
    return None, False


def default_of(info: FieldInfo) -> str:
    """A default as it would be written in the file: durations and sizes with their unit, lists as YAML."""
    if info.is_required():
        return "required"
    if info.default_factory is not None:
        return ""
    value = info.default
    if value is None or isinstance(value, SecretStr | BaseModel) or value in ((), [], {}, ""):
        return ""
    # Through the field's own serializer, which knows what an int stands for.
    field: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    plain = TypeAdapter(field).dump_python(value, mode="json")
    written = yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"`{written}`"


def rules_page() -> str:
    """docs/rules.md."""
    parts = ["# The shipped rules\nFrom rules/packs/; each alert links to its page in docs/runbooks/.\n"]
    for path in shipped():
        rows = []
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    rows.append(
                        [
                            f"`{rule['alert']}`",
                            rule.get("labels", {}).get("tier", ""),
                            str(rule.get("for", "0s")),
                            " ".join(rule.get("annotations", {}).get("description", "").split()),
                        ]
                    )
        parts.append(f"## {path.name}\n{table(['alert', 'tier', 'for', 'meaning'], rows)}")
    return "\n".join(parts)


def cli_page() -> str:
    """docs/cli.md."""
    parts = ["# Commands\n"]

    def unfold(command: click.Command, name: str, parent: click.Context | None) -> None:
        settings = {**command.context_settings, "terminal_width": 100}
        context = click.Context(command, info_name=name, parent=parent, **settings)
        parts.append(f"## {context.command_path}\n```\n{command.get_help(context)}\n```\n")
        if isinstance(command, click.Group):
            for child in sorted(command.commands):
                unfold(command.commands[child], child, context)

    unfold(front, "fleetowl", None)
    return "\n".join(parts)


def engines_page() -> str:
    """docs/engines.md."""
    named = aliases.engines()
    columns = [title for key, title in named.items() if key != "ray"]
    reasons = [
        [", ".join(f"`{name}`" for name in entry.names), named[entry.engine], " ".join(entry.why.split())]
        for entry in aliases.left_out()
    ]
    return (
        "# Names of other engines\n"
        "Rules use the names of vLLM 0.32. A selector of one of these names also finds what other engines, "
        "and older versions of vLLM, call the same thing in the same unit. For a histogram so do its "
        "`_bucket`, `_sum` and `_count`; the bucket edges differ, so never add them up over engines.\n\n"
        f"{table(['vLLM', *columns], aliases.rows())}\n"
        f"{named['ray']} exposes every family of vLLM with `_` for `:` and `ray_` in front: "
        "`ray_vllm_num_requests_running`.\n\n"
        f"## What is no alias\n{table(['name', 'engine', 'why not'], reasons)}"
    )


def xid_page() -> str:
    """docs/xid.md."""
    presets = list(catalogue.presets())
    actions = [[f"`{name}`", words] for name, words in catalogue.catalogue().actions.items()]
    codes = table(["XID", "class", "meaning", "tier", "what to do", "when it repeats"], catalogue.rows())
    return (
        "# XIDs and SXids\n"
        "What the agent makes of the errors that NVIDIA's driver reports, in events and in the kernel's log. "
        "Each is counted once, whoever tells of it. P0: the node is unusable or data is at risk; P1: the GPU "
        "is to be reset or drained; P2: degraded; P3: to know. A code that is not here is told as P3, and "
        "nothing is done for it. The driver's own verdict, by XID 154 or by its field, goes before this "
        "table.\n\n"
        "`agent.xid.preset` chooses whose opinion holds where they differ; `agent.xid.codes` says otherwise "
        "for single codes: `63: {tier: P1, action: reset_gpu}`. Lines within half a minute are one failure. "
        "45, 171 and 172 follow another code, and 162 ends 163.\n\n"
        f"{codes}\n"
        f"## Where presets differ\n{table(['XID', *presets], catalogue.difference_rows())}\n"
        f"## Actions\n{table(['action', 'meaning'], actions)}\n"
        "## Errors of NVSwitches (SXids)\n"
        f"Fatal asks for this: {sxid.FATAL_ACTION}.\n\n"
        f"{table(['SXid', 'fatal', 'meaning'], sxid.rows())}"
    )


CHECKS = re.compile(
    r"(?<=<!-- checks: written by docs/generate.py -->\n).*?(?=<!-- end of checks -->)", re.DOTALL
)


def writing_rules_page() -> str:
    """docs/writing-rules.md as it is, with the checks of `rules lint` as they are."""
    rows = [[f"`{check.id}`", check.severity, check.finds, check.why] for check in discover().values()]
    checks = table(["check", "severity", "finds", "because"], rows)
    return CHECKS.sub(lambda _: checks, (DOCS / "writing-rules.md").read_text())


PAGES: dict[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "configuration.md": configuration_page,
    "rules.md": rules_page,
    "cli.md": cli_page,
    "engines.md": engines_page,
    "xid.md": xid_page,
    "writing-rules.md": writing_rules_page,
}


def stale() -> list[str]:
    """The pages that are not what they should be."""
    return [
        name
        for name, make in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text() != make()
    ]


if __name__ == "__main__":
    if "--check" in sys.argv:
        wrong = stale()
        for name in wrong:
            print(f"docs/{name} is not what `python -m docs.generate` writes")
        sys.exit(1 if wrong else 0)
    for page, render in PAGES.items():
        (DOCS / page).write_text(render())
