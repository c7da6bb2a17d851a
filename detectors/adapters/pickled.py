"""Models of river as bytes and back: only classes of the library, and what they consist of, are made anew.

A state file is written by this process and read by the next. Should anybody else write into it, a pickle
must not become a way to run code: nothing is looked up but the names below and classes of river itself.
"""

from __future__ import annotations

import inspect
import io
import pickle
from typing import Any

_ALLOWED = {
    "builtins": {
        "set",
        "frozenset",
        "complex",
        "bytearray",
        "range",
        "slice",
        "object",
        "list",
        "dict",
        "int",
        "float",
        "tuple",
    },
    "collections": {"deque", "defaultdict", "OrderedDict", "Counter"},
    "copyreg": {"_reconstructor", "__newobj__", "__newobj_ex__"},
    "datetime": {"datetime", "date", "timedelta"},
    "functools": {"partial"},
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random._pickle": {"__generator_ctor", "__bit_generator_ctor", "__randomstate_ctor"},
    "random": {"Random"},
}
_COMPILED = "river._river_rust"
"""Distances and the like: functions of numbers."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _ALLOWED.get(module, ()):
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            return _method
        if module.partition(".")[0] == "river" and "." not in name:
            found = super().find_class(module, name)
            # A module of river also holds what it imported; only what was born in river is river's.
            born = str(getattr(found, "__module__", "")).partition(".")[0] == "river"
            if module.startswith(_COMPILED) or (inspect.isclass(found) and born):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a model")


def _method(owner: Any, name: str) -> Any:
    """A bound method of a river object, as a model may keep one."""
    if type(owner).__module__.partition(".")[0] != "river" or name.startswith("__"):
        raise pickle.UnpicklingError(f"{name} of a {type(owner).__name__} is no part of a model")
    return getattr(owner, name)


def dumped(model: object) -> bytes:
    """A model as bytes. Raises what its parts raise where they cannot be pickled."""
    return pickle.dumps(model, 5)


def loaded(data: bytes) -> Any:
    """The model of `dumped`. Raises ValueError where the bytes are anything else.

    >>> loaded(dumped([1, 2]))
    [1, 2]
    >>> import os
    >>> loaded(dumped(os.system))
    Traceback (most recent call last):
    ...
    ValueError: not a model: posix.system is no part of a model
    """
    try:
        return _Restricted(io.BytesIO(data)).load()
    # Broken bytes raise nearly anything, from EOFError to AttributeError.
    except Exception as error:
        raise ValueError(f"not a model: {error}") from error
