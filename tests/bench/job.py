"""What one contestant is told: where data and checkpoints lie, what is asked for, and how much there is to do."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar


Amount = TypeVar("Amount")


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one process."""

    work: Path
    """Folder of the benchmark, with material.json; processes write below it."""
    small: bool = False
    """The quick form: few steps, small pictures and networks."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What this contestant does in another way than others that run the same function."""

    @cached_property
    def material(self) -> Mapping[str, Any]:
        """Return what the first process found or made: name → path and whether it is real."""
        return json.loads((self.work / "material.json").read_text())

    def find(self, name: str) -> str:
        """Return the folder of a data set or checkpoint."""
        return str(self.material[name]["path"])

    def choose(self, full: Amount, small: Amount) -> Amount:
        """Return the first amount, or the second in the quick form."""
        return small if self.small else full

    def make_folder(self) -> Path:
        """Return the folder that a contestant writes into; all processes of one launch get the same."""
        folder = self.work / "runs" / os.environ.get("BENCH_RUN", "0")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
