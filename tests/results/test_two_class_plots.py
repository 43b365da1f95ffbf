"""The picture of two classes: where it is drawn, and what its reliability curve says."""

from pathlib import Path

import numpy as np
import PIL.Image
import torch

from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.two_class_plots import find_reliability, plot_two_classes


def test_a_picture_is_drawn_of_two_classes_with_rows_of_both(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(0, 2, 40))
    logits = torch.from_numpy(random.normal(size=(40, 2)))
    kept = {name: value.numpy() for name, value in keep_classes(logits, labels).items()} | {"labels": labels.numpy()}
    assert plot_two_classes(kept, ("ants", "bees"), tmp_path / "a.png")
    assert PIL.Image.open(tmp_path / "a.png").width > 800
    one = {name: value[labels.numpy() == 1] for name, value in kept.items()}
    assert not plot_two_classes(one, ("ants", "bees"), tmp_path / "b.png")
    assert not plot_two_classes(kept, ("ants", "bees", "wasps"), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()


def test_reliability_is_the_share_of_positive_rows_in_groups_of_one_size() -> None:
    probabilities = np.asarray([0.1] * 10 + [0.9] * 9 + [0.8])
    positive = np.asarray([True] * 2 + [False] * 8 + [True] * 9 + [False])
    (low, few, ten), (high, many, _) = find_reliability(probabilities, positive)
    assert ten == 10 and (round(low, 6), few, round(high, 6), many) == (0.1, 0.2, 0.89, 0.9)
    assert len(find_reliability(np.linspace(0, 1, 7), np.ones(7, bool))) == 1
