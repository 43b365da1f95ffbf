"""Which block of a network a layer is in, as `layers_to_transform` and `layers_pattern` of PEFT count them."""

import re
from collections.abc import Sequence


def is_in_blocks(name: str, blocks: Sequence[int] | int | None, patterns: Sequence[str] | str | None) -> bool:
    """Return whether a layer is in one of these blocks; None stands for all of them.

    `patterns` are names of lists of blocks. PEFT 0.21 does not look at blocks where targets are full names.
    """
    if blocks is None or blocks == []:
        return True
    named = [patterns] if isinstance(patterns, str) else patterns or [r"[^.]*"]
    found = (re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", name) for pattern in named)
    match = next((each for each in found if each is not None), None)
    return match is not None and int(match.group(1)) in ([blocks] if isinstance(blocks, int) else blocks)
