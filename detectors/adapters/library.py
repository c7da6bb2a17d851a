"""Detectors of river and pyod by their name: found, checked and built, with errors that say the way out.

Nothing else may be named: a configuration must not be a way to run whatever can be imported.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from enum import Enum
from importlib import import_module
from importlib.metadata import version
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, cast

from model.settings import did_you_mean

LIBRARIES = ("river", "pyod")
_PATH = re.compile(r"(river|pyod)(\.[A-Za-z]\w*)+")
_SEEDS = ("seed", "random_state")
_FROM_0_TO_1 = ("HalfSpaceTrees", "GaussianScorer", "PredictiveAnomalyDetection")
_NESTED = "use"
"""An argument that is itself an object of the library: `{use: river..., arguments: {...}}`."""


class Way(Enum):
    """How a detector is asked."""

    SCORER = "score_one of features"
    OF_VALUE = "score_one of a value, given nothing else"
    DRIFT = "update of a value, then whether it drifted"
    ROWS = "fitted on rows, decision_function of rows"


def class_of(path: str) -> type[Any]:
    """The class that a path like `river.anomaly.HalfSpaceTrees` names.

    Raises ValueError with the way out: another library, not installed, no such class.
    """
    if not _PATH.fullmatch(path):
        raise ValueError(
            f"{path!r} cannot be used: name a class of river or pyod, "
            "for example river.anomaly.HalfSpaceTrees or pyod.models.ecod.ECOD"
        )
    found = _found(path)
    if not inspect.isclass(found) or found.__module__.partition(".")[0] not in LIBRARIES:
        raise ValueError(f"{path} is not a class of {path.partition('.')[0]}: name the class of a detector")
    return cast("type[Any]", found)


def way_of(path: str) -> Way:
    """How the detector of this path is asked. Raises ValueError where it is none, or none that fits."""
    kind = class_of(path)
    if path.startswith("pyod."):
        from pyod.models.base import BaseDetector

        if issubclass(kind, BaseDetector):
            return Way.ROWS
        raise ValueError(f"{path} is not a detector: name one of pyod.models, like pyod.models.ecod.ECOD")
    return _way_in_river(path, kind)


def built(path: str, arguments: Mapping[str, Any], seed: int) -> Any:
    """A new detector, with `seed` where it takes one and none is given.

    Raises ValueError with the way out where the arguments do not fit.
    """
    kind = class_of(path)
    known = inspect.signature(kind).parameters
    _check(path, arguments, known)
    given = {name: _argument(value, seed) for name, value in arguments.items()}
    for name in _SEEDS:
        if name in known:
            given.setdefault(name, seed)
    try:
        return kind(**given)
    # Whatever a constructor of a library dislikes is the user's argument.
    except Exception as error:
        raise ValueError(f"{path} does not take these arguments: {error}; {_takes(known)}") from error


def bounded(path: str) -> bool:
    """Whether the scores of this detector lie between 0 and 1, where the last hundredth says most."""
    return path.startswith("river.") and path.rpartition(".")[2] in _FROM_0_TO_1


def version_of(path: str) -> str:
    """The installed version of the library that a path names.

    >>> version_of("river.anomaly.HalfSpaceTrees").partition(".")[0]
    '0'
    """
    return version(path.partition(".")[0])


def _found(path: str) -> Any:
    """What stands at a path: a module, as far as there is one, and names in it."""
    parts, said = path.split("."), io.StringIO()
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            found = _imported(module, said)
        except ModuleNotFoundError as error:
            missing = str(error.name)
            if module == missing or module.startswith(f"{missing}."):
                if missing == parts[0]:
                    raise ValueError(f"{path} needs {missing}, which is not installed: {_INSTALL}") from error
                continue  # the last part is no module but a class in one
            raise ValueError(
                f"{path} needs the module {missing}, which is not installed{_words(said)}"
            ) from error
        except Exception as error:
            raise ValueError(
                f"{path} cannot be loaded: {type(error).__name__}: {error}{_words(said)}"
            ) from error
        if end < len(parts) - 1 and not hasattr(found, parts[end]):
            places = getattr(found, "__path__", ())
            modules = [one.name for one in iter_modules(places) if not one.name.startswith("_")]
            hint = did_you_mean(parts[end], modules, "modules there")
            raise ValueError(f"there is no such module: {module}.{parts[end]}" + (hint and f"; {hint}"))
        for name in parts[end:]:
            if not hasattr(found, name):
                near = [known for known in dir(found) if inspect.isclass(getattr(found, known))]
                raise ValueError(f"there is no {name} in {module}: {_one_of(name, near)}")
            found = getattr(found, name)
        return found
    raise ValueError(f"there is no {path}")


def _imported(module: str, said: io.StringIO) -> ModuleType:
    """The module; what its import prints goes to `said`: the output is not the library's."""
    with redirect_stdout(said), redirect_stderr(said):
        return import_module(module)


def _words(said: io.StringIO) -> str:
    words = " ".join(said.getvalue().split())
    return f": it says {words!r}" if words else ""


_INSTALL = "install Fleetowl with what its analyzer needs, fleetowl[analyzer]"


def _one_of(name: str, near: list[str]) -> str:
    return did_you_mean(name, near, "classes there") or "it holds no classes"


def _way_in_river(path: str, kind: type[Any]) -> Way:
    from river import base

    if issubclass(kind, base.AnomalyFilter):
        raise ValueError(f"{path} only filters the scores of another detector: name that one instead")
    if issubclass(kind, base.AnomalyDetector):
        return Way.SCORER
    if issubclass(kind, base.SupervisedAnomalyDetector):
        return Way.OF_VALUE
    if issubclass(kind, base.DriftDetector):
        return Way.DRIFT
    if issubclass(kind, base.BinaryDriftDetector):
        raise ValueError(
            f"{path} watches whether a classifier is right or wrong, not values: "
            "name a detector of river.drift, like river.drift.ADWIN"
        )
    raise ValueError(
        f"{path} is not a detector: name one of river.anomaly or river.drift, like river.drift.ADWIN"
    )


def _check(path: str, arguments: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> None:
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    unknown = [name for name in arguments if name not in known and not free]
    if unknown:
        raise ValueError(f"{path} has no argument {unknown[0]!r}: {_takes(known)}")
    lacking = [
        name
        for name, parameter in known.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in arguments
    ]
    if lacking:
        raise ValueError(f"{path} needs the argument {lacking[0]!r}: {_takes(known)}")


def _takes(known: Mapping[str, inspect.Parameter]) -> str:
    return f"it takes {', '.join(known)}" if known else "it takes no arguments"


def _argument(value: Any, seed: int) -> Any:
    if isinstance(value, dict) and _NESTED in value:
        return built(str(value[_NESTED]), value.get("arguments") or {}, seed)
    return value
