"""Pictures of a run: curves, confusion matrix, and the most confident mistakes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_tune.task import Kept


MAX_CLASSES = 40
MAX_MISTAKES = 24


def plot_curves(history: Sequence[Mapping[str, float]], metric: str, file: Path) -> bool:
    """Draw loss and one metric of train and validation over epochs; return whether there was anything to draw."""
    entries = [entry for entry in history if "eval_loss" in entry and "train_mean_loss" in entry]
    if not entries:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    names = (("loss", "train_mean_loss", "eval_loss"), (metric, f"train_{metric}", f"eval_{metric}"))
    for axes, (title, train, validation) in zip(figure.subplots(1, 2), names, strict=True):
        epochs = [entry["epoch"] for entry in entries]
        for label, key in (("train", train), ("validation", validation)):
            if all(key in entry for entry in entries):
                axes.plot(epochs, [entry[key] for entry in entries], marker=".", label=label)
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(file, dpi=110)
    return True


def plot_confusion(confusion: np.ndarray, label_names: Sequence[str], file: Path) -> bool:
    """Draw counts of rows by true and predicted class; return False where there are too many classes to read."""
    if len(label_names) > MAX_CLASSES:
        return False
    from matplotlib.figure import Figure

    size = 2.2 + 0.48 * len(label_names)
    figure = Figure(figsize=(max(size, 4), max(size, 4)), layout="constrained")
    axes = figure.subplots()
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if share[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(label_names)), label_names, rotation=60, ha="right")
    axes.set_yticks(range(len(label_names)), label_names)
    axes.set(xlabel="predicted", ylabel="true", title="Rows by true and predicted class")
    figure.savefig(file, dpi=110)
    return True


def plot_confused_pairs(confusion: np.ndarray, label_names: Sequence[str], file: Path) -> bool:
    """Draw the commonest mistakes as bars, for too many classes to draw a matrix; return False otherwise."""
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_MISTAKES]
    pairs = [divmod(int(cell), len(confusion)) for cell in order if wrong.flat[cell]]
    if len(label_names) <= MAX_CLASSES or not pairs:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.27 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    counts = [int(wrong[pair]) for pair in pairs]
    bars = axes.barh([f"{label_names[true]} → {label_names[found]}" for true, found in pairs], counts)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="rows", title="Commonest mistakes (true → predicted)")
    figure.savefig(file, dpi=110)
    return True


def plot_scatter(true: np.ndarray, predicted: np.ndarray, file: Path) -> bool:
    """Draw predicted over true numbers, with the line where they are equal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(true, predicted, s=6, alpha=0.4)
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    axes.plot([low, high], [low, high], color="black", linewidth=1)
    axes.set(xlabel="true", ylabel="predicted", title="Predicted and true values")
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    return True


def plot_pictures(pictures: Sequence[Any], titles: Sequence[str], file: Path) -> bool:
    """Draw a sheet of pictures, at most six to a row, each under its title; return False where there is none."""
    if not pictures:
        return False
    from matplotlib.figure import Figure

    columns = min(len(pictures), 6)
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(1.85 * columns, 2.25 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, picture, title in zip(figure.axes, pictures, titles, strict=False):
        axes.imshow(picture)
        axes.set_title(title, fontsize=8)
    figure.savefig(file, dpi=110)
    return True


def plot_lines(lines: Sequence[Sequence[tuple[Any, str]]], file: Path) -> None:
    """Draw lines of pictures, each under its title."""
    from matplotlib.figure import Figure

    columns = max(len(line) for line in lines)
    figure = Figure(figsize=(1.6 * columns, 2.1 * len(lines)), layout="constrained")
    axes = figure.subplots(len(lines), columns, squeeze=False)
    for each in axes.flat:
        each.axis("off")
    for place, line in zip(axes, lines, strict=True):
        for each, (picture, title) in zip(place, line, strict=False):
            each.imshow(picture)
            each.set_title(title, fontsize=7)
    figure.savefig(file, dpi=110)


def find_confident_mistakes(kept: Kept) -> np.ndarray:
    """Return the numbers of the wrongly classified rows, the most certain first, at most `MAX_MISTAKES`."""
    wrong = np.flatnonzero(kept["top_labels"][:, 0] != kept["labels"])
    return wrong[np.argsort(-kept["top_log_probabilities"][wrong, 0], kind="stable")][:MAX_MISTAKES]
