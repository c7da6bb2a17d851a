"""After the warm-up no step compiles, loads compiled code or imports our modules: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import sys
from numba.core.dispatcher import Dispatcher
from tests.detectors.checks.story import Telling, Variation
from tests.detectors.checks.subjects import SETTINGS


def compiled():
    ours = [module for name, module in list(sys.modules.items()) if name.startswith("detectors")]
    found = {id(each): each for module in ours for each in vars(module).values()}
    found = {key: each for key, each in found.items() if isinstance(each, Dispatcher)}
    return {f"{each.py_func.__module__}.{each.py_func.__name__}": each.signatures for each in found.values()}


telling = Telling(SETTINGS, Variation(ticks=150))
telling.scoring.warm()
before, modules = compiled(), {name for name in sys.modules if name.startswith(("detectors", "numba"))}
assert len(before) > 20, before
telling.tell()
(state,) = [each for each in telling.scoring.detectors if each.name == "state"]
assert state.pools[0].ensemble.models is not None, "the story is too short"
after = compiled()
print({name: (before.get(name), after[name]) for name in after if before.get(name) != after[name]})
print({name for name in sys.modules if name.startswith(("detectors", "numba"))} - modules)
"""


def test_after_the_warm_up_a_step_compiles_and_imports_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["{}", "set()"]
