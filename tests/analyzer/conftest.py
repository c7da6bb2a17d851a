"""A pipeline in virtual time, and an analyzer on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from analyzer.assembly import assemble, prepare
from analyzer.central import CentralSettings
from analyzer.pipeline import Pipeline
from analyzer.service import Analyzer
from model.settings import load_section
from tests.analyzer.heat import RULES
from tests.analyzer.reading import Client

START = 1_800_000_000_000


def settings_of(folder: Path, **sections: Any) -> CentralSettings:
    own = {"listen": "127.0.0.1:0", "state_directory": str(folder), **sections.pop("analyzer", {})}
    return load_section(CentralSettings, {"analyzer": own, **sections}, "test.yml")


@pytest.fixture
def make_pipeline(tmp_path: Path) -> Callable[..., Pipeline]:
    """A pipeline at START (or later) over the state in tmp_path; call it again for a restart."""

    def make(now: int = START, **sections: Any) -> Pipeline:
        tmp_path.joinpath("state").mkdir(exist_ok=True)
        return assemble(prepare(settings_of(tmp_path / "state", **sections)), now)

    return make


@pytest.fixture
async def run_analyzer(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Analyzer]]]:
    """Start an analyzer that listens; stopped after the test. It has the shipped rules if a test asks."""
    started: list[Analyzer] = []

    async def run(**sections: Any) -> Analyzer:
        settings = settings_of(tmp_path / "state", **{"rules": {"shipped": False}, **sections})
        analyzer = Analyzer(settings, lambda: settings, "0.0.0")
        started.append(analyzer)
        await analyzer.start()
        return analyzer

    yield run
    for analyzer in started:
        await analyzer.stop()


@pytest.fixture
async def analyzer(run_analyzer: Callable[..., Awaitable[Analyzer]], tmp_path: Path) -> Analyzer:
    rules = tmp_path / "heat.rules.yml"
    rules.write_text(RULES)
    return await run_analyzer(
        rules={"shipped": False, "files": [str(rules)]},
        analyzer={"tick": "100ms", "external_labels": {"cluster": "c1", "room": "none"}},
    )


@pytest.fixture
async def client(analyzer: Analyzer) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://{analyzer.address}")
