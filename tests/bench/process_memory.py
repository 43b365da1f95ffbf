"""Memory of this process as Linux counts it; unlike `ru_maxrss` the peak does not include what the parent held."""

import re
from pathlib import Path


def read_rss_mib() -> float:
    """Return the resident memory now, in MiB."""
    return _read("VmRSS")


def read_peak_mib() -> float:
    """Return the largest resident memory since the process started, in MiB."""
    return _read("VmHWM")


def _read(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise OSError(f"/proc/self/status holds no {name!r}")
    return int(found.group(1)) / 1024
