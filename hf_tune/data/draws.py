"""Random numbers that depend only on (seed, epoch, row): the same whatever the workers, processes or a resume.

A counter-based generator in the sense of Salmon et al. 2011 (doi:10.1145/2063384.2063405): a number is a hash of its
coordinates, here by the finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195).
"""

from dataclasses import dataclass

import numpy as np
import torch


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class Draws:
    """The draws of one batch; each call to `uniform` takes numbers that no earlier call took."""

    seed: int
    epoch: int
    rows: np.ndarray
    """Row numbers in the split, shape (batch,)."""
    taken: int = 0

    def uniform(self, count: int) -> torch.Tensor:
        """Return `count` numbers in [0, 1) for each row: float64, shape (batch, count)."""
        with np.errstate(over="ignore"):  # uint64 arithmetic is meant to wrap
            run = _mix(_mix(np.asarray([self.seed], dtype=np.uint64) + _GOLDEN) + np.uint64(self.epoch))
            row = _mix(run + self.rows.astype(np.uint64) * _GOLDEN)
            columns = np.arange(self.taken + 1, self.taken + count + 1, dtype=np.uint64) * _GOLDEN
            bits = _mix(row[:, None] + columns[None, :])
        self.taken += count
        return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
