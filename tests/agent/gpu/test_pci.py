"""The GPUs on the PCI bus, without what only looks like one or is not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.gpu.pci import PciBus


def put(
    sysfs: Path, slot: str, kind: str = "0x030200", vendor: str = "0x10de", driver: str = "nvidia"
) -> Path:
    folder = sysfs / "bus/pci/devices" / slot
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")
    if driver:
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
    return folder


def test_gpus_are_found(tmp_path: Path) -> None:
    put(tmp_path, "0000:17:00.0")
    put(tmp_path, "0000:18:00.0", kind="0x030000")  # one with a display
    put(tmp_path, "0000:3d:00.0", driver="")  # the driver has let go of it, or is not loaded
    assert PciBus(str(tmp_path)).gpus() == ["0000:17:00.0", "0000:18:00.0", "0000:3d:00.0"]


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "0x068000"},  # an NVSwitch
        {"kind": "0x040300"},  # the sound of a display
        {"vendor": "0x1002"},  # AMD
        {"driver": "vfio-pci"},  # a virtual machine has it
        {"driver": "nouveau"},
    ],
)
def test_others_are_none(tmp_path: Path, other: dict[str, str]) -> None:
    put(tmp_path, "0000:17:00.0", **other)
    assert PciBus(str(tmp_path)).gpus() == []


def test_a_virtual_function_is_part_of_a_gpu(tmp_path: Path) -> None:
    folder = put(tmp_path, "0000:17:00.4")
    (folder / "physfn").symlink_to("../0000:17:00.0")
    assert PciBus(str(tmp_path)).gpus() == []


def test_one_that_goes_is_gone_and_another_in_its_slot_is_another(tmp_path: Path) -> None:
    bus = PciBus(str(tmp_path))
    folder = put(tmp_path, "0000:17:00.0")
    assert bus.gpus() == ["0000:17:00.0"]
    folder.rename(tmp_path / "elsewhere")
    assert bus.gpus() == []
    put(tmp_path, "0000:17:00.0", kind="0x020000")
    assert bus.gpus() == []


def test_a_device_without_its_files_and_a_node_without_the_bus(tmp_path: Path) -> None:
    assert PciBus(str(tmp_path)).gpus() is None
    (tmp_path / "bus/pci/devices/0000:17:00.0").mkdir(parents=True)
    assert PciBus(str(tmp_path)).gpus() == []
