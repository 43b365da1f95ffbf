"""What is drawn, read from the figures themselves, and when nothing is."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from hf_tune.results.plots import (
    MAX_CLASSES,
    MAX_MISTAKES,
    find_confident_mistakes,
    plot_confusion,
    plot_curves,
    plot_lines,
    plot_pictures,
)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the list that every saved figure is added to."""
    saved: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **kwargs: Any) -> None:
        saved.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_curves_are_those_of_the_evaluations(figures: list[Figure], tmp_path: Path) -> None:
    history = [
        {"epoch": 0.5, "loss": 9.0},
        {"epoch": 1.0, "train_mean_loss": 2.0, "eval_loss": 3.0, "train_accuracy": 0.5, "eval_accuracy": 0.25},
        {"epoch": 2.0, "train_mean_loss": 1.0, "eval_loss": 2.5, "train_accuracy": 0.75, "eval_accuracy": 0.5},
    ]
    assert plot_curves(history, "accuracy", tmp_path / "curves.png")
    drawn = {
        (axes.get_title(), line.get_label()): np.column_stack(line.get_data()).tolist()
        for axes in figures[0].axes
        for line in axes.lines
    }
    assert drawn == {
        ("loss", "train"): [[1.0, 2.0], [2.0, 1.0]],
        ("loss", "validation"): [[1.0, 3.0], [2.0, 2.5]],
        ("accuracy", "train"): [[1.0, 0.5], [2.0, 0.75]],
        ("accuracy", "validation"): [[1.0, 0.25], [2.0, 0.5]],
    }
    with PIL.Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"


def test_without_an_evaluation_there_are_no_curves(tmp_path: Path) -> None:
    assert not plot_curves([{"epoch": 1.0, "loss": 2.0}], "accuracy", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_a_confusion_matrix_shows_its_counts_with_the_true_class_in_the_rows(
    figures: list[Figure], tmp_path: Path
) -> None:
    assert plot_confusion(np.array([[3, 1], [0, 0]]), ["red", "blue"], tmp_path / "confusion.png")
    axes = figures[0].axes[0]
    assert [(text.get_text(), text.get_position()) for text in axes.texts] == [("3", (0, 0)), ("1", (1, 0))]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["red", "blue"]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 0.0]]


def test_more_classes_than_can_be_read_are_not_drawn(tmp_path: Path) -> None:
    names = [str(number) for number in range(MAX_CLASSES + 1)]
    assert not plot_confusion(np.eye(len(names), dtype=int), names, tmp_path / "confusion.png")
    assert not (tmp_path / "confusion.png").exists()


def test_a_sheet_holds_each_picture_under_its_title(
    figures: list[Figure], pictures: list[PIL.Image.Image], tmp_path: Path
) -> None:
    titles = [f"row {number}" for number in range(8)]
    assert plot_pictures(pictures * 2, titles, tmp_path / "sheet.png")
    axes = figures[0].axes
    assert len(axes) == 12 and [each.get_title() for each in axes[:8]] == titles
    assert [each.images[0].get_size() for each in axes[:4]] == [(40, 50), (50, 40), (33, 33), (64, 20)]
    assert not any(each.images or each.axison for each in axes[8:])


def test_without_a_picture_there_is_no_sheet(tmp_path: Path) -> None:
    assert not plot_pictures([], [], tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_mistakes_come_the_most_certain_first() -> None:
    kept = {
        "labels": np.array([0, 1, 0, 1, 1]),  # all but the first are wrong
        "top_labels": np.array([[0, 1], [0, 1], [1, 0], [0, 1], [0, 1]]),
        "top_log_probabilities": np.log([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]),
    }
    assert find_confident_mistakes(kept).tolist() == [2, 3, 1, 4]


def test_there_are_no_more_mistakes_than_a_sheet_holds() -> None:
    rows = MAX_MISTAKES + 5
    kept = {
        "top_labels": np.full((rows, 2), [0, 1]),
        "top_log_probabilities": np.log(np.full((rows, 2), [0.75, 0.25])),
    }
    assert find_confident_mistakes({**kept, "labels": np.ones(rows)}).tolist() == list(range(MAX_MISTAKES))
    assert find_confident_mistakes({**kept, "labels": np.zeros(rows)}).tolist() == []


def test_lines_of_pictures_stand_under_their_titles_and_a_short_line_leaves_room(
    figures: list[Figure], tmp_path: Path
) -> None:
    pictures = [np.full((4, 4, 3), number, dtype=np.uint8) for number in range(3)]
    lines = [[(pictures[0], "a"), (pictures[1], "b")], [(pictures[2], "c")]]
    plot_lines(lines, tmp_path / "lines.png")
    axes = figures[0].axes
    assert [each.get_title() for each in axes] == ["a", "b", "c", ""]
    drawn = [int(each.images[0].get_array().max()) if each.images else None for each in axes]
    assert drawn == [0, 1, 2, None]
    assert PIL.Image.open(tmp_path / "lines.png").height > 300
