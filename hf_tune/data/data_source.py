"""The `data:` block: what is loaded, how it is split, and which column is what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_tune.data.rare_classes import Rare
from hf_tune.input_error import InputError


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """The `data.splits:` block: an expression such as `train[:80%]`, or a fraction to cut from train."""

    train: str = "train"
    validation: str | float | None = None
    """None: the data set's own validation split; where it has none, a tenth of train."""
    test: str | float | None = None
    """None: the data set's own test split, if it has one."""
    by: str | None = None
    """A column whose values, such as a patient's, stay in one split each; None: rows are cut one by one."""
    seed: int = 0
    """Seed of the cuts; `training.seed` does not move them, so that runs with other seeds stay comparable."""

    def __post_init__(self) -> None:
        """Check the fractions."""
        for name in ("validation", "test"):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not 0 < value < 1:
                raise InputError(f"{value!r} is no fraction of train", "give one between 0 and 1", at=(name,))


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The `data:` block."""

    load: Mapping[str, Any]
    """Arguments of `datasets.load_dataset`; or `path: package.module:function`, the rest being its arguments."""
    splits: SplitPlan = field(default_factory=SplitPlan)
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role → column; a role that is left out is the column of its own name."""
    rare: Rare | None = None
    """Of classes with fewer rows than there are splits: `keep_in_train`, `drop` their rows, or join them in the class
    `other`; None: they are refused."""
    files_in: str | None = None
    """Folder that paths in a column start from; None: that of the table, else the one you start in."""
    positive: str | int | None = None
    """Of two classes the one that is looked for: sensitivity, AUROC … are of it; None: the second one."""
    shuffle_buffer: int | None = None
    """Of a stream: `buffer_size` of `IterableDataset.shuffle`, rows in memory that are mixed; None: 1,000."""

    def __post_init__(self) -> None:
        """Check the buffer."""
        if self.shuffle_buffer is not None and self.shuffle_buffer < 1:
            raise InputError(
                f"{self.shuffle_buffer!r} is out of range", "it must be at least 1", at=("shuffle_buffer",)
            )
