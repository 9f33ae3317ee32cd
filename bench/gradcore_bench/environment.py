"""What a run was measured on. No path and no host name is recorded."""

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "cupy", "cupy-cuda12x", "cupy-cuda13x", "scikit-learn", "torch")
GPU_STATE = (
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "clocks.max.mem",
    "power.limit",
    "temperature.gpu",
)


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def free_memory() -> int | None:
    """Bytes of main memory that a process can still have, or None where that is not known."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return None


def gpu_state(bus_id: str) -> dict[str, str]:
    """What nvidia-smi says of the GPU on that PCI bus: driver, clocks (MHz), power (W), °C.

    Empty where there is no nvidia-smi.
    """
    command = ["nvidia-smi", f"--id={bus_id}", f"--query-gpu={','.join(GPU_STATE)}"]
    try:
        told = subprocess.run(
            [*command, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(GPU_STATE, told.strip().split(", "), strict=False))


def describe(
    *,
    devices: dict[str, str],
    libraries: Iterable[Any],
    threads: int,
    gpu: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The facts to keep with a run's figures.

    Args:
        devices: the model of each device that was used.
        libraries: those that were timed.
        threads: the size of every thread pool.
        gpu: more of the GPU, if one was used.
    """
    versions = {library.name: library.version for library in libraries}
    for package in PACKAGES:
        try:
            versions.setdefault(package, version(package))
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "devices": devices,
        "cores": os.cpu_count(),
        "threads": threads,
    } | ({"gpu": gpu} if gpu else {})
