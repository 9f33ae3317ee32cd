"""What a run was measured on. No path and no host name is recorded."""

import datetime
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "cupy", "cupy-cuda12x", "cupy-cuda13x", "scikit-learn")


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


def describe(*, devices: dict[str, str], libraries: Iterable[Any], threads: int) -> dict[str, Any]:
    """The facts to keep with a run's figures.

    Args:
        devices: the model of each device that was used.
        libraries: those that were timed.
        threads: the size of every thread pool.
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
    }
