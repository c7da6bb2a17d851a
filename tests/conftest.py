"""What all tests share: where the shared data lies, and which real tools they stand beside."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import rules.documents
import rules.sidefile
from model.document import read_documents, read_yaml
from simulator.nvml.build import CompilerMissing
from simulator.nvml.stub import Stub
from tests.agent.whole import WholeAgent, page_server

ROOT = Path(__file__).resolve().parent.parent
_COMPILER = pytest.StashKey[subprocess.Popen[bytes]]()
IN_CI = bool(os.environ.get("CI"))


def _leave_out(message: str) -> None:
    """A test without what it needs is a skip that says why; in CI it is a failure."""
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


def pytest_configure(config: pytest.Config) -> None:
    """Several workers would each compile the detectors for half a minute: another process does it once.

    The acceptance tests wait for it: they start processes that must answer within seconds.
    """
    option = config.option
    waits = "acceptance" in f"{option.markexpr} {config.args}" and "not acceptance" not in option.markexpr
    if hasattr(config, "workerinput") or not (waits or getattr(option, "numprocesses", None)):
        return
    imports = "from detectors.engine import Scoring; from telemetry.window import Window"
    command = [sys.executable, "-c", f"{imports}; Scoring(Window()).warm()"]
    config.stash[_COMPILER] = subprocess.Popen(command, cwd=ROOT)
    if waits:
        config.stash[_COMPILER].wait()


def pytest_collection_finish() -> None:
    """What thousands of tests are made of need not be looked at by each full collection of garbage."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _COMPILER in config.stash:
        config.stash[_COMPILER].wait()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captures; absent is a skip, in CI a failure."""
    path = Path(os.environ.get("FLEETOWL_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        _leave_out(f"no shared data at {path}: set FLEETOWL_DATA")
    return path


@pytest.fixture(scope="session", autouse=True)
def _packs_are_parsed_once() -> Iterator[None]:
    """Dozens of tests load the shipped packs; their YAML is read once, what is made of it is new."""
    packs = ROOT / "rules" / "packs"
    documents = cache(lambda path: list(read_documents(path)))
    side_files = cache(read_yaml)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            rules.documents,
            "read_documents",
            lambda path: iter(deepcopy(documents(path))) if packs in path.parents else read_documents(path),
        )
        patch.setattr(
            rules.sidefile,
            "read_yaml",
            lambda path, **how: (
                deepcopy(side_files(path, **how)) if packs in path.parents else read_yaml(path, **how)
            ),
        )
        yield


@pytest.fixture(scope="session")
def peer_binary() -> Callable[[str], str]:
    """The path of a real tool by name; absent is a skip, in CI a failure."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            _leave_out(f"{name} is not here: `make peers` fetches what it can")
        return str(path)

    return find


@pytest.fixture(scope="session")
def nvml_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stub driver is compiled to, once for all tests and workers of a run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "nvml-build"


@pytest.fixture
def nvml_stub(tmp_path: Path, nvml_cache: Path) -> Iterator[Callable[..., Stub]]:
    """Makes stub drivers: takes what Stub takes but the folder. No compiler is a skip, in CI a failure."""
    with ExitStack() as stubs:

        def make(**options: Any) -> Stub:
            folder = tmp_path / f"nvml-{len(list(tmp_path.glob('nvml-*')))}"
            try:
                return stubs.enter_context(Stub(folder, cache=nvml_cache, **options))
            except CompilerMissing as error:
                _leave_out(str(error))
                raise

        yield make


@pytest.fixture(scope="session")
def busy_page(tmp_path_factory: pytest.TempPathFactory, nvml_cache: Path) -> str:
    """The whole agent's /metrics on a node of two busy H100 with an engine; it takes seconds to start."""
    folder = tmp_path_factory.mktemp("busy")
    try:
        stub = Stub(folder / "stub", gpus=2, load="busy", cache=nvml_cache)
    except CompilerMissing as error:
        _leave_out(str(error))
        raise
    with stub, page_server() as engine:
        settings = {
            "gpu": {"last_seen": str(folder / "gpus.json")},
            "engines": [{"job": "vllm", "url": f"{engine}/metrics"}],
        }
        with WholeAgent(folder, settings, stub.environment()) as agent:
            # Profiling compares two samples, so it comes a beat later than the rest.
            return agent.page(lambda page: page.count("\nDCGM_FI_PROF_GR_ENGINE_ACTIVE{") == 2)
