"""What a kind of GPU is: names, limits, what its driver does not support, how it is when idle and busy."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

from pydantic import Field

from model.document import read_yaml
from model.settings import ConfigurationError, Settings, Size, load_section

Load = Literal["idle", "busy"]


class Limits(Settings):
    """Power limits in W."""

    power: float
    power_min: float
    power_max: float


class Temperatures(Settings):
    """Thresholds in C; 0 where the driver tells none."""

    shutdown: int
    slowdown: int
    memory_max: int = 0
    gpu_max: int


class Clocks(Settings):
    """Maximal clocks in MHz."""

    graphics: int
    sm: int
    memory: int
    video: int


class Memory(Settings):
    """Bytes."""

    total: Size
    reserved: Size
    bar1: Size


class Pcie(Settings):
    """The link to the host."""

    generation: int
    width: int


class Profile(Settings):
    """A kind of GPU, as its YAML file says it."""

    name: str
    architecture: int
    """NVML_DEVICE_ARCH_*."""
    compute: tuple[int, int]
    pci_device_id: int
    pci_subsystem_id: int
    links: int = 0
    link_version: int = 0
    """NVML_NVLINK_VERSION_*."""
    gpm: bool
    mig: dict[str, tuple[int, int, float]] = Field(default_factory=dict)
    """By profile name: slices, multiprocessors, GiB of memory. Empty where there is no MIG."""
    event_types: int
    event_reasons_supported: int
    limits: Limits
    temperatures: Temperatures
    clocks: Clocks
    memory: Memory
    pcie: Pcie
    histogram: dict[Literal["max", "high", "partial", "low", "none"], int]
    """Banks by how many spare rows they have left."""
    without: list[str] = Field(default_factory=list)
    """Calls that return Not Supported."""
    without_fields: list[int] = Field(default_factory=list)
    """Field numbers that return Not Supported."""
    idle: dict[str, Any]
    busy: dict[str, Any]


def profile_names() -> list[str]:
    """Of the profiles that there are, sorted."""
    names = (entry.name for entry in files("simulator.nvml.profiles").iterdir())
    return sorted(name.removesuffix(".yml") for name in names if name.endswith(".yml"))


def read_profile(name: str) -> Profile:
    """A profile by name. Raises ValueError if there is none, ConfigurationError if its file is wrong."""
    if name not in profile_names():
        raise ValueError(f"no such GPU profile: {name!r} (there are {', '.join(profile_names())})")
    path = files("simulator.nvml.profiles") / f"{name}.yml"
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigurationError([])
    return load_section(Profile, data, str(path))
