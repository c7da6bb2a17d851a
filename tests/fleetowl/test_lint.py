"""`fleetowl rules lint` as a person and a CI job meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fleetowl.cli import main

RULE = """\
groups:
  - name: g
    rules:
      - alert: KvFull
        expr: {expr}
        for: 1m
        labels: {{tier: P2}}
        annotations: {{summary: full}}
"""


def lint(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["rules", "lint", *arguments])
    return result.exit_code, result.stdout, result.stderr


def rule(folder: Path, expr: str) -> str:
    path = folder / "mine.rules.yml"
    path.write_text(RULE.format(expr=expr))
    return str(path)


def test_a_finding_is_exit_1_and_a_row(tmp_path: Path) -> None:
    path = rule(tmp_path, "vllm:kv_cache_usage_perc > 90")
    status, out, err = lint(path)
    assert (status, err) == (1, "")
    head, row, summary = out.splitlines()
    assert head.split() == ["SEVERITY", "CHECK", "RULE", "WHAT"]
    assert row.startswith("error     fraction-or-percent")
    assert f"{path}: g: KvFull" in row
    assert row.endswith("so > 90 is never true (compare with 0.9)")
    assert summary == "rules: 1 in 1 files; findings: 1 error, 0 warning, 0 info; allowed by comments: 0"


def test_nothing_found_is_exit_0(tmp_path: Path) -> None:
    status, out, _ = lint(rule(tmp_path, "vllm:kv_cache_usage_perc > 0.9"))
    assert (status, out.splitlines()[0]) == (0, "nothing found")


def test_an_info_is_exit_0(tmp_path: Path) -> None:
    status, out, _ = lint(rule(tmp_path, "DCGM_FI_PROF_SM_ACTIVE < 0.2"))
    assert status == 0
    assert "unknown-metric" in out


def test_json_has_every_field(tmp_path: Path) -> None:
    path = rule(tmp_path, "vllm:kv_cache_usage_perc > 90")
    status, out, _ = lint(path, "-o", "json")
    answer = json.loads(out)
    assert status == 1
    assert {key: answer[key] for key in ("files", "rules", "allowed")} == {
        "files": 1,
        "rules": 1,
        "allowed": 0,
    }
    (finding,) = answer["findings"]
    assert finding == {
        "file": path,
        "group": "g",
        "rule": "KvFull",
        "check": "fraction-or-percent",
        "severity": "error",
        "sentence": "vllm:kv_cache_usage_perc goes from 0 to 1, so > 90 is never true",
        "way_out": "compare with 0.9",
    }


def test_options_reach_the_checks(tmp_path: Path) -> None:
    path = rule(tmp_path, "vllm:gpu_cache_usage_perc > 0.9")
    assert lint(path)[0] == 1
    assert lint(path, "--engine", "vllm=0.9")[0] == 0
    path = rule(tmp_path, "rate(x_total[1m]) > 1")
    assert lint(path)[0] == 0
    assert lint(path, "--scrape-interval", "30s")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'PATHS...'"),
        (["mine.yml", "--engine", "vlm=0.32"], "'vlm' is no engine that is known (did you mean vllm?)"),
        (["mine.yml", "--engine", "vllm"], "write vllm=0.32"),
        (["mine.yml", "--engine", "vllm=new"], "'new' is not a version"),
        (["mine.yml", "--scrape-interval", "15"], "write for example 15s"),
        (["mine.yml", "--scrape-interval", "0s"], "must be more than 0"),
        (["/no/such.yml", "/nor/this"], "/nor/this: there is no such file or folder"),
        (["mine.yml", "-o", "xml"], "'xml' is not one of"),
    ],
)
def test_wrong_use_is_exit_2(arguments: list[str], words: str) -> None:
    status, out, err = lint(*arguments)
    assert (status, out) == (2, "")
    assert words in err
