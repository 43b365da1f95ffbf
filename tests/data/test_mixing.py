"""Mixup and CutMix against torchvision's own transforms at equal draws, and what they draw."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torchvision.transforms import v2

from hf_tune.data.draws import Draws
from hf_tune.data.mixing import CutMix, Mixing, Mixup, build_mixing
from hf_tune.input_error import InputError


ROWS = 40


def build(number: int, height: int = 20, width: int = 32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    pictures = torch.randint(0, 256, (ROWS, 3, height, width), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 5, (ROWS,), generator=generator)
    return {"pixel_values": pictures, "labels": labels, "row": torch.arange(ROWS) + 100 * number}


def draws(rows: Any = range(ROWS)) -> Draws:
    return Draws(1, 2, np.asarray(rows))


def read_draws() -> torch.Tensor:
    """Return way, quantile, right and down of each row."""
    return Draws(1, 2, np.arange(ROWS), taken=2**20 + 1).uniform(4)


def torchvisions(
    transform: Any, share: float, place: list[float], pair: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return what torchvision makes of a picture and its partner, which it takes from the place before it."""
    right, down = place
    numbers = iter([right, down])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transform._dist, "sample", lambda _: share, raising=False)
        patch.setattr(torch, "randint", lambda high, size: torch.tensor([int(next(numbers) * high)]))
        params = transform.make_params([pair[0]])
    params |= {"labels": None, "batch_size": 2}
    mixed: torch.Tensor = transform.transform(torch.stack([pair[1], pair[0]]), params)
    return mixed[1], params


def check_labels(mixed: dict, row: int, share: float, labels: tuple[int, int]) -> None:
    """Check that the larger part comes first."""
    first, second = labels if share >= 0.5 else labels[::-1]
    assert (int(mixed["labels"][row]), int(mixed["partner_labels"][row])) == (first, second)
    numbers = (row, row + 100) if share >= 0.5 else (row + 100, row)
    assert (int(mixed["row"][row]), int(mixed["partner_row"][row])) == numbers
    assert float(mixed["share"][row]) == pytest.approx(max(share, 1 - share), abs=1e-6)


def test_mixup_is_torchvisions() -> None:
    own, others = build(0), build(1)
    mixed = Mixing(mixup=Mixup(alpha=0.4))(own, others, draws())
    shares = beta(0.4, 0.4).ppf(read_draws()[:, 1].numpy())
    assert min(shares) < 0.1 and max(shares) > 0.9
    for row, share in enumerate(shares.tolist()):
        pair = own["pixel_values"][row].float(), others["pixel_values"][row].float()
        expected, _ = torchvisions(v2.MixUp(alpha=0.4, num_classes=5), share, [0, 0], pair)
        assert (mixed["pixel_values"][row] - expected).abs().max() <= 0.501  # ours is a whole number
        check_labels(mixed, row, share, (int(own["labels"][row]), int(others["labels"][row])))


@pytest.mark.parametrize("shape", [(20, 32), (32, 32), (33, 17)])
def test_cutmix_is_torchvisions(shape: tuple[int, int]) -> None:
    own, others = build(0, *shape), build(1, *shape)
    mixed = Mixing(cutmix=CutMix(alpha=1.0))(own, others, draws())
    for row, (_, share, right, down) in enumerate(read_draws().tolist()):  # Beta(1, 1) is uniform
        pair = own["pixel_values"][row], others["pixel_values"][row]
        expected, params = torchvisions(v2.CutMix(alpha=1.0, num_classes=5), share, [right, down], pair)
        assert torch.equal(mixed["pixel_values"][row], expected), row
        check_labels(mixed, row, params["lam_adjusted"], (int(own["labels"][row]), int(others["labels"][row])))


def test_with_both_each_row_takes_the_one_that_its_draw_says() -> None:
    own, others = build(0), build(1)
    both = Mixing(mixup=Mixup(alpha=0.4), cutmix=CutMix(alpha=1.0))(own, others, draws())
    added = Mixing(mixup=Mixup(alpha=0.4))(own, others, draws())
    cut = Mixing(cutmix=CutMix(alpha=1.0))(own, others, draws())
    cuts = read_draws()[:, 0] < 0.5
    assert 10 < cuts.sum() < 30
    for row, is_cut in enumerate(cuts.tolist()):
        for name in both:
            assert torch.equal(both[name][row], (cut if is_cut else added)[name][row])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_drawn_from_a_beta_distribution(alpha: float) -> None:
    rows = 4000
    numbers = {"labels": torch.zeros(rows).long(), "row": torch.zeros(rows).long()}
    batch = {"pixel_values": torch.zeros(rows, 3, 1, 1, dtype=torch.uint8), **numbers}
    partners = {**batch, "labels": torch.ones(rows).long()}
    mixed = Mixing(mixup=Mixup(alpha=alpha))(batch, partners, draws(range(rows)))
    own = torch.where(mixed["labels"] == 0, mixed["share"], 1 - mixed["share"])
    assert kstest(own.numpy(), beta(alpha, alpha).cdf).pvalue > 0.01


def test_partners_are_other_rows_with_equal_chances_and_others_in_each_epoch() -> None:
    mixing, rows = Mixing(mixup=Mixup()), np.repeat(np.arange(5), 1)
    counts = np.zeros((5, 5), dtype=int)
    for epoch in range(2000):
        counts[rows, mixing.draw_partners(3, epoch, rows, 5)] += 1
    assert (np.diag(counts) == 0).all()
    assert (np.abs(counts[~np.eye(5, dtype=bool)] - 500) < 100).all()  # five standard deviations
    whole = mixing.draw_partners(3, 0, np.arange(100), 100)
    assert (mixing.draw_partners(3, 0, np.asarray([70, 3]), 100) == whole[[70, 3]]).all()
    assert (mixing.draw_partners(4, 0, np.arange(100), 100) != whole).any()
    assert mixing.draw_partners(3, 0, np.asarray([0]), 1).tolist() == [0]  # there is no other


def test_a_row_is_mixed_alike_in_any_batch() -> None:
    own, others, mixing = build(0), build(1), Mixing(mixup=Mixup(), cutmix=CutMix())
    whole, rows = mixing(own, others, draws()), [31, 2, 17]
    part = mixing({n: v[rows] for n, v in own.items()}, {n: v[rows] for n, v in others.items()}, draws(rows))
    assert all(torch.equal(part[name], whole[name][rows]) for name in whole)


def test_nothing_is_mixed_unless_it_is_asked_for() -> None:
    assert build_mixing(None, None) is None
    assert build_mixing(Mixup(), None) == Mixing(mixup=Mixup())


@pytest.mark.parametrize("cls", [Mixup, CutMix])
def test_an_alpha_of_0_is_told(cls: Any) -> None:
    with pytest.raises(InputError, match="above 0") as caught:
        cls(alpha=0)
    assert caught.value.at == ("alpha",)
