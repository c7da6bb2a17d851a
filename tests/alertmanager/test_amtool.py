"""Against the real amtool: the same files load, and the same receivers are found.

Where Debian's 0.25 and Alertmanager 0.34, whose files are read here, differ, or where a difference is meant,
DIFFERENCES names it.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertmanager.configuration_file import load_file
from alertmanager.route import build_route
from alertmanager.settings import AlertmanagerSettings, RouteSettings
from model.settings import ConfigurationError, load_section
from tests.alertmanager.mutations import variants

pytestmark = pytest.mark.peer

DIFFERENCES = {
    r"\.\d+ = (None|'')$": "an empty item of a list is taken as one without keys, or ends amtool in a panic",
    r"(group_by|equal)\.\d+ = ": "names in UTF-8 are taken since 0.27",
    r"(max_alerts|chat_id) = '5'": "a number in quotes is taken here",
    r"\.retry = '-1h'": "a negative duration is refused here",
}
STEP = 17
"""Every so many of the 2,200 variants are tried; all agree, which takes a minute."""


def as_texts(data: Any) -> Any:
    """Scalars as a file has them."""
    if isinstance(data, dict):
        return {key: as_texts(value) for key, value in data.items()}
    if isinstance(data, list):
        return [as_texts(value) for value in data]
    if data is None or isinstance(data, str):
        return data
    return str(data).lower()


def loads(data: dict[str, Any]) -> bool:
    try:
        load_section(AlertmanagerSettings, {"route": {}, "receivers": [], **as_texts(data)}, "x.yml")
    except ConfigurationError:
        return False
    return True


def test_the_same_variants_of_a_file_load(tmp_path: Path, peer_binary: Callable[[str], str]) -> None:
    chosen = [
        (name, data)
        for name, data in variants()
        if not any(re.search(pattern, name) for pattern in DIFFERENCES)
    ][::STEP]
    files = []
    for position, (_, data) in enumerate(chosen):
        files.append(tmp_path / f"{position}.yml")
        files[-1].write_text(json.dumps(data))
    command = [peer_binary("amtool"), "check-config", *map(str, files)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    verdicts = re.findall(r"^Checking '.*'  (SUCCESS|FAILED)", said, re.MULTILINE)
    assert len(verdicts) == len(chosen) > 100
    theirs = [verdict == "SUCCESS" for verdict in verdicts]
    assert 0.1 < sum(theirs) / len(theirs) < 0.9
    differ = [
        f"{name}: amtool {'loads' if taken else 'refuses'} it"
        for (name, data), taken in zip(chosen, theirs, strict=True)
        if loads(data) != taken
    ]
    assert differ == []


def receivers_of(amtool: str, file: Path, labels: dict[str, str]) -> list[str]:
    command = [amtool, "config", "routes", "test", f"--config.file={file}"]
    pairs = [f"{name}={value}" for name, value in labels.items()]
    done = subprocess.run([*command, *pairs], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip().split(",")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("conf.routing.yml", "1", ["test1"]),
        ("conf.routing.yml", "2", ["test1", "test2"]),
        ("conf.routing-reverted.yml", "2", ["test2", "test1"]),
        ("conf.routing.yml", "volcano", ["default"]),
    ],
)
def test_upstreams_trees_lead_to_the_same_receivers(
    shared_data: Path, peer_binary: Callable[[str], str], name: str, value: str, expected: list[str]
) -> None:
    file = shared_data / "alertmanager" / "config" / name
    tree = build_route(load_file(file).route)
    assert [route.receiver for route in tree.match({"test": value})] == expected
    assert receivers_of(peer_binary("amtool"), file, {"test": value}) == expected


def test_keys_of_routes_are_alertmanagers(shared_data: Path, peer_binary: Callable[[str], str]) -> None:
    file = shared_data / "alertmanager" / "config" / "conf.good.yml"
    command = [peer_binary("amtool"), "config", "routes", "show", f"--config.file={file}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    theirs = re.findall(r"(\{.*\})  (?:continue|receiver)", shown)
    ours = [str(route.matches) for route in build_route(load_file(file).route).walk()]
    assert ours[1:] == theirs


LABELS = ["a", "b"]
VALUES = ["x", "y", "xy"]
MATCHERS = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(LABELS),
        st.sampled_from(["=", "!=", "=~", "!~"]),
        st.sampled_from(["x", '"y|x"', "x.*", '""']),
    ),
    max_size=2,
)
SMALL = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES), max_size=1)


OPTIONS = {"matchers": MATCHERS, "match": SMALL, "match_re": SMALL, "continue": st.booleans()}


def node(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"receiver": st.sampled_from("stuvw")}, optional={**OPTIONS, **more})


TREES = st.recursive(node(), lambda below: node(routes=st.lists(below, max_size=4)), max_leaves=8)


@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(TREES, min_size=1, max_size=5),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(VALUES) for name in LABELS}),
)
def test_random_trees_lead_to_the_same_receivers(
    tmp_path: Path, peer_binary: Callable[[str], str], routes: list[dict[str, Any]], labels: dict[str, str]
) -> None:
    root = {"receiver": "root", "routes": routes}
    file = tmp_path / "tree.yml"
    file.write_text(json.dumps({"route": root, "receivers": [{"name": name} for name in ("root", *"stuvw")]}))
    tree = build_route(load_section(RouteSettings, as_texts(root), "tree.yml"))
    ours = [route.receiver for route in tree.match(labels)]
    assert ours == receivers_of(peer_binary("amtool"), file, labels or {"c": "z"})
