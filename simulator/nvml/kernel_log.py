"""The kernel's side of an XID: the line that the NVIDIA module writes into its log."""

from __future__ import annotations

from pathlib import Path

_TEXTS = {  # what usually stands behind the number
    13: "Graphics SM Warp Exception on (GPC 3, TPC 1, SM 0): Out Of Range Address",
    31: "Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7fc1_00000000.",
    43: "Ch 00000010",
    45: "Ch 00000010",
    48: "DBE (double bit error) ECC Error",
    63: "Row Remapper: New row (0x0000000000a4b2c0) marked for remapping, reset gpu to activate.",
    64: "Row Remapper: Failed to remap row",
    74: "NVLink: fatal error detected on link 0(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)",
    79: "GPU has fallen off the bus.",
    92: "High single-bit ECC error rate",
    94: "Contained: SM (0x1). RST: No, D-RST: No",
    95: "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No",
    109: "Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x10005",
    119: "Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76.",
}


def xid_line(pci_bus_id: str, code: int, text: str, pid: int | None, name: str) -> str:
    """The kernel's line, `NVRM: Xid (PCI:0000:b3:00): 79, pid=1234, name=python3, GPU has fallen ...`."""
    domain, bus, rest = pci_bus_id.lower().split(":")
    place = f"{int(domain, 16):04x}:{bus}:{rest.partition('.')[0]}"
    who = f"pid={pid}, name={name}" if pid is not None else "pid='<unknown>', name=<unknown>"
    return f"NVRM: Xid (PCI:{place}): {code}, {who}, {text or _TEXTS.get(code, 'Ch 00000001')}"


class KernelLog:
    """A file that lines are appended to as a log daemon would, with the time since boot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def write(self, seconds: float, line: str) -> None:
        """One line, whole, in one write."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"[{seconds:12.6f}] {line}\n")
