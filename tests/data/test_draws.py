"""Keyed draws."""

import numpy as np
import torch

from hf_tune.data.draws import Draws


def test_a_draw_depends_on_seed_epoch_row_and_column_only() -> None:
    whole = Draws(7, 3, np.arange(100)).uniform(4)
    shuffled = np.random.default_rng(0).permutation(100)
    assert torch.equal(Draws(7, 3, shuffled).uniform(4), whole[torch.from_numpy(shuffled)])
    stepwise = Draws(7, 3, np.arange(100))
    assert torch.equal(torch.cat([stepwise.uniform(1), stepwise.uniform(3)], dim=1), whole)


def test_other_seeds_and_epochs_draw_otherwise() -> None:
    first = Draws(7, 3, np.arange(1000)).uniform(1)
    for other in (Draws(8, 3, np.arange(1000)), Draws(7, 4, np.arange(1000))):
        correlation = np.corrcoef(first[:, 0], other.uniform(1)[:, 0])[0, 1]
        assert abs(correlation) < 0.1  # three standard errors of 1 / sqrt(1000)


def test_draws_are_uniform() -> None:
    from scipy.stats import kstest

    drawn = Draws(0, 0, np.arange(5000)).uniform(3).numpy()
    assert all(kstest(drawn[:, column], "uniform").pvalue > 0.001 for column in range(3))
    assert drawn.min() >= 0 and drawn.max() < 1
