"""The NVML bindings, with a note of which call is under way: when one hangs, that is what there is to say."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from agent.gpu.probe.errors import FUNCTION_NOT_FOUND

LIBRARY = "libnvidia-ml.so.1"


class NoDriver(Exception):
    """This node has no NVIDIA library: healthy, nothing to read. The text says which."""


class BrokenLibrary(Exception):
    """There is a file of the library's name that is none. The text says what is wrong."""


def load() -> Any:
    """The nvidia-ml-py module. Raises NoDriver or BrokenLibrary if the driver's library is not usable.

    The library is looked for first: importing the module costs megabytes that a node without GPUs saves.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        if "cannot open shared object file" in str(error):
            raise NoDriver("NVML library not found") from error
        raise BrokenLibrary(f"{LIBRARY} cannot be loaded: {error}; reinstall the driver") from error
    import pynvml

    return pynvml


class Calls:
    """The module's functions for one thread; `under_way` is the name of the last one that was called.

    A function that the bindings lack raises NVMLError as one that the library lacks.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self.under_way = ""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._nvml, name, None)
        if found is None:
            raise self._nvml.NVMLError(FUNCTION_NOT_FOUND)
        if name.startswith("nvml") and callable(found):
            found = self._noted(name, found)
        setattr(self, name, found)  # the next time it is found without coming here
        return found

    def _noted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.under_way = name
            return function(*arguments)

        return call


def text(value: str | bytes) -> str:
    """Older bindings answer bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def address(handle: Any) -> int:
    """The same for equal handles: bindings answer a new pointer object each time."""
    if isinstance(handle, ctypes._Pointer):
        return ctypes.cast(handle, ctypes.c_void_p).value or 0
    return id(handle)
