"""The stub library is compiled once for each content, also when two want it at once."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.nvml.build import LIBRARY, BuildFailed, CompilerMissing, build
from simulator.nvml.stub import Stub

MakeStub = Callable[..., Stub]


def test_a_library_is_compiled_once(nvml_stub: MakeStub, nvml_cache: Path) -> None:
    first = nvml_stub(gpus=1).library
    before = first.stat().st_mtime_ns
    assert nvml_stub(gpus=2).library == first
    assert first.stat().st_mtime_ns == before
    assert first.name == LIBRARY
    assert [path for path in nvml_cache.iterdir() if path.name.startswith(".building")] == []


def test_without_a_compiler_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(CompilerMissing, match="install gcc"):
        build(tmp_path)


def test_a_compiler_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho no such thing >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(BuildFailed, match="no such thing"):
        build(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_may_build_at_once(nvml_stub: MakeStub, tmp_path: Path) -> None:
    nvml_stub(gpus=0)  # there is a compiler
    source = "import sys, pathlib, simulator.nvml.build as b; print(b.build(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", source, str(tmp_path)]
    builders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {builder.communicate()[0].strip() for builder in builders}
    assert [builder.returncode for builder in builders] == [0, 0]
    assert len(paths) == 1
    assert hasattr(ctypes.CDLL(paths.pop()), "nvmlInit_v2")


def test_a_call_that_does_not_exist_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean nvmlDeviceGetName"):
        build(tmp_path, ["nvmlDeviceGetNam"])


def test_in_this_process(nvml_stub: MakeStub) -> None:
    """In a child, for what is loaded stays."""
    stub = nvml_stub(gpus=2)
    source = """
import sys
from pathlib import Path
from simulator.nvml.stub import Stub
import pynvml
for gpus in (2, 3):
    with Stub(Path(sys.argv[1]) / str(gpus), gpus=gpus, cache=Path(sys.argv[2])) as stub:
        stub.preload()
        pynvml.nvmlInit()
        print(pynvml.nvmlDeviceGetCount(), stub.calls("nvmlDeviceGetCount_v2"))
        pynvml.nvmlShutdown()
"""
    folder, cache = stub.table.path.parent, stub.library.parent.parent
    run = subprocess.run(
        [sys.executable, "-c", source, str(folder), str(cache)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["2", "1", "3", "1"]
