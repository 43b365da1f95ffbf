"""The `speed:` block: what is computed once instead of every epoch, and how pixels lie in memory."""

import re
from dataclasses import dataclass

from hf_tune.input_error import InputError


_VIEWS = re.compile(r"augmented\((\d+)\)")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The `speed:` block. What is on by default gives the results that it would give when switched off."""

    decoded_cache: bool = True
    """Pictures are decoded, resized and cropped once, into a file that later runs read too."""
    feature_cache: str = "auto"
    """What frozen layers make of a row: `auto` computes it once where that is exact; `off`; `augmented(8)` computes
    it for 8 augmented views of each row, and epochs take turns with them."""
    channels_last: bool = False
    """Pixels of all channels side by side, which convolutions of GPUs with tensor cores want."""

    def __post_init__(self) -> None:
        """Check the words."""
        if self.feature_cache not in ("auto", "off") and self.num_views < 1:
            problem = f"{self.feature_cache!r} is no way to keep features"
            raise InputError(problem, "write auto, off, or augmented(8) for 8 views of a row", at=("feature_cache",))

    @property
    def num_views(self) -> int:
        """Return how many augmented views of each row are kept; 0 for rows as they are."""
        found = _VIEWS.fullmatch(self.feature_cache)
        return int(found.group(1)) if found else 0
