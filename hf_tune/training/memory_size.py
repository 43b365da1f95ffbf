"""Sizes of memory as people write them: `80GiB`, `24GB`, `16000MiB`; read, and told."""

import math
import re
from types import MappingProxyType

from hf_tune.input_error import InputError


_UNITS = MappingProxyType(
    {"mib": 2**20, "gib": 2**30, "tib": 2**40, "mb": 10**6, "gb": 10**9, "tb": 10**12, "": 2**30}
)


def read_memory_size(text: str) -> int:
    """Return the bytes of a size; a bare number is GiB (2^30 bytes), and GB is 10^9 bytes."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text.strip().lower())
    size = float(found[1]) * _UNITS.get(found[2], 0) if found else 0.0
    if not 1 <= size < math.inf:
        raise InputError(f"{text!r} is no size of memory", "write `80GiB`, `24GB` or `16000MiB`; a bare number is GiB")
    return int(size)


def format_size(size: float) -> str:
    """Return bytes as MiB, from 10 GiB on as GiB."""
    return f"{size / 2**30:,.1f} GiB" if size >= 10 * 2**30 else f"{size / 2**20:,.1f} MiB"
