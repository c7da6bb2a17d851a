"""Scrape configurations, targets, and target files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from model.labels import Labels
from model.settings import ConfigurationError, load_section
from telemetry.file_sd import FileDiscovery, parse_file_sd, read_file_sd
from telemetry.scrape import FileSDConfig, ScrapeConfig, ScrapeConfigs, ScrapeTarget, TargetGroup, targets_of


def load(**data: Any) -> ScrapeConfig:
    return load_section(ScrapeConfig, {"job_name": "j", **data}, "f.yml")


def only(**data: Any) -> ScrapeTarget:
    targets, problems = targets_of(load(**data))
    assert problems == []
    (target,) = targets
    return target


def static(*targets: str, **labels: str) -> list[dict[str, Any]]:
    return [{"targets": list(targets), "labels": labels}]


def test_a_target() -> None:
    target = only(static_configs=static("host:9100", rack="r1"))
    assert (target.job, target.instance, target.url) == ("j", "host:9100", "http://host:9100/metrics")
    assert target.labels == Labels({"job": "j", "instance": "host:9100", "rack": "r1"})
    assert (target.interval, target.timeout) == (15_000, 10_000)
    assert target.discovered.value("__address__") == "host:9100"


def test_the_url() -> None:
    target = only(
        static_configs=static("h:1"),
        scheme="https",
        metrics_path="probe",
        params={"module": ["http 2xx", "b"], "target": ["x"]},
    )
    assert target.url == "https://h:1/probe?module=http+2xx&module=b&target=x"


def test_relabelling_makes_the_target() -> None:
    """As with the blackbox exporter."""
    target = only(
        static_configs=static("https://example.org/x".replace("https://", "").replace("/x", ""), env="prod"),
        params={"module": ["http_2xx"]},
        relabel_configs=[
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": "prober:9115"},
            {"target_label": "__metrics_path__", "replacement": "/probe"},
            {"target_label": "__scheme__", "replacement": "https"},
            {"target_label": "__scrape_interval__", "replacement": "5s"},
            {"target_label": "__scrape_timeout__", "replacement": "2s"},
            {"target_label": "__tmp_x", "replacement": "gone"},
            {"target_label": "job", "replacement": "other"},
        ],
    )
    assert target.url == "https://prober:9115/probe?module=http_2xx&target=example.org"
    assert target.labels == Labels({"job": "other", "instance": "example.org", "env": "prod"})
    assert (target.interval, target.timeout) == (5000, 2000)


def test_targets_that_are_dropped_double_or_impossible() -> None:
    config = load(
        static_configs=static("a:1", "a:1", "drop:1", "none:1", "slow:1", "path:1"),
        relabel_configs=[
            {"source_labels": ["__address__"], "regex": "drop:.*", "action": "drop"},
            {
                "source_labels": ["__address__"],
                "regex": "(none):1",
                "target_label": "__address__",
                "replacement": "",
            },
            {
                "source_labels": ["__address__"],
                "regex": "slow:1",
                "target_label": "__scrape_timeout__",
                "replacement": "5m",
            },
            {
                "source_labels": ["__address__"],
                "regex": "path:1",
                "target_label": "__address__",
                "replacement": "path/x",
            },
        ],
    )
    targets, problems = targets_of(config)
    assert [target.instance for target in targets] == ["a:1"]
    assert len(problems) == 3
    assert "'none:1': no address" in problems[0]
    assert "timeout" in problems[1]
    assert "hostname" in problems[2]


def test_a_limit_of_targets() -> None:
    config = load(static_configs=static("a:1", "b:1"), target_limit=1)
    targets, problems = targets_of(config)
    assert targets == []
    assert "target_limit 1" in problems[0]


def test_timeouts() -> None:
    assert load(scrape_interval="5s").timeout == 5000
    assert load(scrape_interval="1m").timeout == 10_000
    assert load(scrape_interval="1m", scrape_timeout="30s").timeout == 30_000


@pytest.mark.parametrize(
    ("size", "number"), [("10MB", 10 << 20), ("10MiB", 10 << 20), ("1KB", 1024), ("2G", 2 << 30), (500, 500)]
)
def test_sizes_are_powers_of_1024(size: object, number: int) -> None:
    assert load(body_size_limit=size).body_size_limit == number


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"scrape_interval": "5s", "scrape_timeout": "6s"}, "greater than scrape interval 5s"),
        ({"scrape_interval": 5}, "no unit"),
        ({"scheme": "ftp"}, "scheme"),
        ({"static_configs": static("http://a:1/")}, "not a valid hostname"),
        (
            {"static_configs": [{"targets": ["a:1"], "labels": {"a-b": "c"}}]},
            "'a-b' is not a valid label name",
        ),
        ({"static_configs": [{"target": ["a:1"]}]}, "did you mean targets?"),
        ({"file_sd_configs": [{"files": ["targets.txt"]}]}, ".json, .yml or .yaml"),
        ({"file_sd_configs": [{"files": ["a/*/b.yml"]}]}, "* in its last part"),
        ({"file_sd_configs": [{"files": []}]}, "files"),
        ({"kubernetes_sd_configs": [{"role": "pod"}]}, "unknown key"),
        ({"consul_sd_configs": []}, "file_sd_configs"),
        ({"relabel_configs": [{"action": "hashmod", "target_label": "a"}]}, "relabel_configs.0"),
        ({"body_size_limit": "lots"}, "not a size"),
        ({"bearer_token": "x"}, "write authorization"),
    ],
)
def test_mistakes_are_named(data: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**data)
    assert named in str(caught.value)


def test_job_names_are_unique() -> None:
    adapter = TypeAdapter(ScrapeConfigs)
    adapter.validate_python([{"job_name": "a"}, {"job_name": "b"}])
    with pytest.raises(ValidationError, match="multiple scrape configs with job name 'a'"):
        adapter.validate_python([{"job_name": "a"}, {"job_name": "a"}])


# Target files.

YAML = b"- targets: ['a:1', 'b:2']\n  labels: {rack: r1}\n- targets: ['c:3']\n"


class Disk:
    """Files in memory."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}

    def read(self, path: str) -> bytes:
        return self.files[path]

    def find(self, pattern: str) -> list[str]:
        return [path for path in self.files if path == pattern or pattern == "*." + path.rpartition(".")[2]]


def test_files() -> None:
    disk = Disk(one_yml=YAML, two_json=json.dumps([{"targets": ["d:4"]}]).encode(), empty_yml=b"")
    groups, problems = read_file_sd(["*.yml", "two.json", "one.yml"], disk.read, disk.find)
    assert problems == {}
    assert groups == {
        "empty.yml": [],
        "one.yml": [
            TargetGroup("one.yml:0", ("a:1", "b:2"), {"rack": "r1", "__meta_filepath": "one.yml"}),
            TargetGroup("one.yml:1", ("c:3",), {"__meta_filepath": "one.yml"}),
        ],
        "two.json": [TargetGroup("two.json:0", ("d:4",), {"__meta_filepath": "two.json"})],
    }
    found, _ = targets_of(load(), [group for path in groups for group in groups[path]])
    assert [target.instance for target in found] == ["a:1", "b:2", "c:3", "d:4"]
    assert found[0].labels == Labels({"job": "j", "instance": "a:1", "rack": "r1"})


@pytest.mark.parametrize(
    ("path", "data", "named"),
    [
        ("a.json", b"{", "neither JSON nor YAML"),
        ("a.yml", b"a: [", "neither JSON nor YAML"),
        ("a.yml", b"a: 5", "list"),
        ("a.yml", b"- targets: ['http://a/']\n- what: 5\n", "1.what"),
        ("a.yml", b"- targets: ['http://a/']\n- what: 5\n", "0.targets.0"),
        ("a.json", b"[" * 100_000, "neither JSON nor YAML"),
        ("a.yml", b"!!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
    ],
)
def test_bad_files_are_named(path: str, data: bytes, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_file_sd(path, data)


def test_a_file_that_breaks_keeps_its_targets_and_one_that_is_gone_does_not() -> None:
    disk = Disk(one_yml=YAML, two_yml=b"- targets: ['x:1']")
    discovery = FileDiscovery([FileSDConfig(files=["*.yml"])], disk.read, disk.find)
    assert discovery.refresh()
    assert not discovery.refresh()
    before = discovery.groups
    disk.files["one.yml"] = b"- targets: [half"
    assert not discovery.refresh()
    assert discovery.groups == before
    assert list(discovery.problems) == ["one.yml"]
    disk.files["one.yml"] = b"- targets: ['n:1']"
    assert discovery.refresh()
    assert discovery.problems == {}
    del disk.files["two.yml"]
    assert discovery.refresh()
    assert [group.addresses for group in discovery.groups] == [("n:1",)]
