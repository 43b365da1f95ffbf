"""Rows with partners: which, from where, augmented how; and the loss of two labels against that of a soft target."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hf_tune.data.augmentation import HorizontalFlip, Rotation
from hf_tune.data.draws import Draws
from hf_tune.data.mixing import CutMix, Mixing, Mixup
from hf_tune.tasks.image_classification import TASK, Preprocess
from hf_tune.training.batch_sampler import EvaluationSampler, Share, TrainingSampler
from hf_tune.training.partners import PartneredRows, change_rows, compute_losses, leave_partners
from hf_tune.training.training_data import TrainingData


NUM_ROWS = 23
MIXING = Mixing(mixup=Mixup(alpha=0.4), cutmix=CutMix())
GENERATOR = torch.Generator().manual_seed(1)
PICTURES = torch.randint(0, 256, (NUM_ROWS, 3, 8, 8), dtype=torch.uint8, generator=GENERATOR)
LABELS = torch.randint(0, 3, (NUM_ROWS,), generator=GENERATOR)


class Rows(torch.utils.data.Dataset):
    """Random pictures, one by one."""

    def __len__(self) -> int:
        return NUM_ROWS

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        epoch, row = divmod(index, NUM_ROWS)
        place = {"row": torch.tensor(row), "epoch": torch.tensor(epoch)}
        return {"pixel_values": PICTURES[row], "labels": LABELS[row], **place}


class WholeRows(Rows):
    """The same, a batch at once."""

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        return TASK.collate([self[index] for index in indices], None)


def build_data(rows: Any = None, augment: tuple[Any, ...] = (HorizontalFlip(), Rotation())) -> TrainingData:
    return TrainingData(
        train=PartneredRows(rows or Rows(), MIXING, 5, TASK, None),
        validation=Rows(),
        preprocess=Preprocess(augment=list(augment)),
        make_draws=Draws,
        label_names=("a", "b", "c"),
    )


def run_epoch(data: TrainingData, epoch: int, sizes: tuple[int, int] = (4, 1)) -> dict[int, tuple[Any, ...]]:
    """Return row → what the network would see of it, with batches of a size on so many processes."""
    seen = {}
    for rank in range(sizes[1]):
        sampler = TrainingSampler(NUM_ROWS, 9, Share(batch_size=sizes[0], processes=sizes[1], rank=rank))
        sampler.set_epoch(epoch)
        for indices in sampler:
            batch = data.train.__getitems__(indices)
            if int(batch["epoch"][0]) < 0:
                continue  # a filler
            mixed = change_rows(TASK, data, batch, 5, epoch)
            names = ("pixel_values", "labels", "partner_labels", "row", "partner_row", "share")
            for number, row in enumerate(batch["row"].tolist()):
                seen[row] = tuple(mixed[name][number] for name in names)
    return seen


@pytest.mark.parametrize("sizes", [(1, 1), (23, 1), (2, 2), (3, 3)])
def test_the_same_rows_are_mixed_whatever_the_batches_and_processes(sizes: tuple[int, int]) -> None:
    expected, found = run_epoch(build_data(), 1), run_epoch(build_data(WholeRows()), 1, sizes)
    assert len(found) == NUM_ROWS
    for row, values in expected.items():
        assert all(torch.equal(one, other) for one, other in zip(values, found[row], strict=True))


def test_an_epoch_mixes_other_rows_than_the_one_before() -> None:
    first, second = run_epoch(build_data(augment=()), 0), run_epoch(build_data(augment=()), 1)
    assert any(not torch.equal(first[row][0], second[row][0]) for row in first)


def test_a_partner_is_the_row_as_it_is_augmented_itself() -> None:
    data, epoch = build_data(), 2
    batch = data.train.__getitems__([epoch * NUM_ROWS + row for row in (3, 17)])
    partners = MIXING.draw_partners(5, epoch, np.asarray([3, 17]), NUM_ROWS)
    assert batch["row"].tolist() == [3, 17] and batch["partner_row"].tolist() == partners.tolist()
    assert torch.equal(batch["partner_pixel_values"], PICTURES[partners])

    def augment(rows: list[int]) -> dict[str, torch.Tensor]:
        plain = {"pixel_values": PICTURES[rows], "labels": LABELS[rows], "row": torch.tensor(rows)}
        return TASK.augment(plain, data.preprocess, Draws(5, epoch, np.asarray(rows)))

    expected = MIXING(augment([3, 17]), augment(partners.tolist()), Draws(5, epoch, np.asarray([3, 17])))
    mixed = change_rows(TASK, data, batch, 5, epoch)
    assert all(torch.equal(mixed[name], expected[name]) for name in ("pixel_values", "labels", "share"))


def test_a_filler_has_a_partner_too_and_a_row_by_itself_has_none() -> None:
    data = build_data()
    (filler,) = EvaluationSampler(NUM_ROWS, Share(batch_size=NUM_ROWS, processes=2, rank=1)).batches
    batch = data.train.__getitems__(filler)
    assert batch["epoch"].tolist() == [-1] and batch["partner_row"].shape == (1,)
    assert set(data.train[3]) == {"pixel_values", "labels", "row", "epoch"}


def test_rows_without_partners_are_only_augmented() -> None:
    data = build_data(augment=(HorizontalFlip(probability=1.0),))
    batch = TASK.collate([Rows()[row] for row in range(4)], None)
    changed = change_rows(TASK, data, batch, 5, 0)
    assert torch.equal(changed["pixel_values"], PICTURES[:4].flip(3)) and "share" not in changed


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_that_of_the_mixed_target(smoothing: float) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    batch = {
        "labels": torch.tensor([0, 1, 2, 0, 1, 1]),
        "partner_labels": torch.tensor([1, 1, 0, 2, 0, 2]),
        "row": torch.arange(6),
        "partner_row": torch.arange(6) + 10,
        "share": torch.tensor([0.5, 0.6, 0.75, 0.9, 1.0, 0.55]),
    }
    one, other = F.one_hot(batch["labels"], 3), F.one_hot(batch["partner_labels"], 3)
    target = batch["share"][:, None] * one + (1 - batch["share"][:, None]) * other
    expected = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    losses = compute_losses(TASK.loss, SimpleNamespace(logits=logits), batch, smoothing)
    assert torch.allclose(losses, expected, atol=1e-6)
    plain = compute_losses(TASK.loss, SimpleNamespace(logits=logits), {"labels": batch["labels"]}, smoothing)
    assert torch.allclose(plain, F.cross_entropy(logits, batch["labels"], reduction="none", label_smoothing=smoothing))


def test_training_scores_are_those_against_the_larger_part() -> None:
    data = build_data(augment=())
    mixed = change_rows(TASK, data, data.train.__getitems__(list(range(NUM_ROWS))), 5, 0)
    assert mixed["share"].min() >= 0.5
    logits = F.one_hot(mixed["labels"], 3).float()
    assert TASK.row_scores(SimpleNamespace(logits=logits), mixed)["accuracy"].mean() == 1


def test_a_loss_that_looks_rows_up_gets_those_that_the_labels_belong_to() -> None:
    data = build_data(augment=())
    mixed = change_rows(TASK, data, data.train.__getitems__(list(range(NUM_ROWS))), 5, 0)

    def look_up(outputs: Any, batch: dict[str, torch.Tensor], label_smoothing: float) -> torch.Tensor:
        assert torch.equal(batch["labels"], LABELS[batch["row"]])
        return batch["row"].float()

    losses = compute_losses(look_up, None, mixed, 0.0)
    assert torch.allclose(losses, mixed["share"] * mixed["row"] + (1 - mixed["share"]) * mixed["partner_row"])
    assert (mixed["row"] != torch.arange(NUM_ROWS)).any()


def test_rows_are_had_without_their_partners() -> None:
    plain = [1, 2, 3]
    assert leave_partners(plain) is plain
    assert leave_partners(PartneredRows(plain, None, 0, TASK, None)) is plain
