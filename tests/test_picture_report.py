"""What `hf-tune check` says of the size of pictures, and the sheet that it draws."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import matplotlib.axes
import numpy as np
import PIL.Image
import pytest
import torch

from hf_tune.assembly import build_trainer
from hf_tune.data.splits import load_splits
from hf_tune.input_error import InputError
from hf_tune.picture_report import Sheet, check_shown, describe_size, draw_sheet, read_sheet
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task
from hf_tune.training.partners import change_rows


def outline(own_size: int | None, pretrained: bool = True, **config: Any) -> Any:
    model = SimpleNamespace(config=SimpleNamespace(**config))
    return SimpleNamespace(own_size=own_size, pretrained=pretrained, model=model)


def tell(*arguments: Any) -> str:
    return "\n".join(describe_size(*arguments))


def test_a_small_input_of_a_pretrained_model_is_warned_of() -> None:
    """TRAPS M5."""
    assert "knows pictures of 224 pixels and gets 32, which costs 10 to 40 points" in tell(outline(224), {}, 32)
    assert tell(outline(224), {}, 112) == ""
    assert tell(outline(224, pretrained=False), {}, 32) == ""


def test_pictures_that_are_made_much_smaller_are_warned_of_with_the_factor() -> None:
    told = tell(outline(224), {"width": 3000.0, "height": 2240.0}, 224)
    assert "pictures of 3000 x 2240 pixels are made 10.0 times smaller, to 224" in told
    assert "smaller than 20 pixels in them" in told and "`preprocess.image_size`" in told  # two pixels of the input
    assert tell(outline(224), {"width": 895.0, "height": 4000.0}, 224) == ""  # the shorter side: 3.996 times
    assert "warning" in tell(outline(224), {"width": 896.0, "height": 4000.0}, 224)


def test_tiles_are_counted_and_compared_with_the_size_that_the_checkpoint_knows() -> None:
    tiles = {"size": 224, "overlap": 0.25, "reduce": "max"}
    assert describe_size(outline(224, tiles=tiles), {"width": 900.0, "height": 900.0}, 896) == [
        "  seen in 25 tiles of 224 pixels"
    ]
    small = tell(outline(224, tiles={**tiles, "size": 64}), {}, 896)
    assert "knows pictures of 224 pixels and gets 64" in small and "leave `preprocess.tiles.size` out" in small


def test_pictures_that_are_enlarged_are_told() -> None:
    told = tell(outline(64), {"width": 24.0, "height": 20.0}, 64)
    assert told == "  pictures of 24 x 20 pixels are enlarged to 64"


@pytest.mark.parametrize(
    ("show", "file", "words"),
    [
        ("0", "a.png", "--show 0; write a whole number of rows from 1 to 32"),
        ("33", "a.png", "from 1 to 32"),
        ("eight", "a.png", "--show eight"),
        ("8", "a.jpg", "--show-file a.jpg; give a name that ends with .png"),
        ("8", "nowhere/a.png", "there is no folder 'nowhere'; make it first"),
        (None, "a.png", "--show-file without --show; say how many rows: `--show 8`"),
    ],
)
def test_a_sheet_that_cannot_be_drawn_is_told(show: str | None, file: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_sheet(show, file)


def test_the_words_of_the_command_line_are_read() -> None:
    assert read_sheet("8", "a.png") == Sheet(num_rows=8, file=Path("a.png"))
    assert read_sheet("3", None) == Sheet(num_rows=3, file=Path("augmented.png"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, str]]:
    """Return the pictures and titles that are drawn, in their order."""
    drawn: list[Any] = []
    plain_picture, plain_title = matplotlib.axes.Axes.imshow, matplotlib.axes.Axes.set_title

    def imshow(self: Any, picture: Any, **options: Any) -> Any:
        drawn.append(picture)
        return plain_picture(self, picture, **options)

    def set_title(self: Any, title: str, **options: Any) -> Any:
        drawn[-1] = (drawn[-1], title)
        return plain_title(self, title, **options)

    monkeypatch.setattr(matplotlib.axes.Axes, "imshow", imshow)
    monkeypatch.setattr(matplotlib.axes.Axes, "set_title", set_title)
    return drawn


@pytest.mark.parametrize("is_mixed", [True, False])
def test_the_sheet_shows_what_a_run_trains_on(
    is_mixed: bool, write_recipe: Callable[..., Path], tmp_path: Path, seen: list[tuple[np.ndarray, str]]
) -> None:
    block = "augment: [random_crop, trivial_augment]\n" + ("  mixup: {alpha: 1.0}\n" if is_mixed else "")
    recipe = load_recipe(write_recipe(replace=(("preprocess:\n", f"preprocess:\n  {block}"),)), [])
    task = get_task(recipe.task)
    splits = load_splits(recipe.data, task, None)
    loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
    told = draw_sheet(recipe, task, loaded, splits, Sheet(num_rows=4, file=tmp_path / "sheet.png"))
    assert told == f"4 training rows as they are and in 2 epochs: {tmp_path / 'sheet.png'}"
    assert PIL.Image.open(tmp_path / "sheet.png").width > 400

    trainer = build_trainer(recipe, task, loaded, loaded.model, splits)
    rows = [0, 8, 15, 23]
    titles = [title for _, title in seen]
    assert titles[:4] == ["row 0\nred", "row 8\nblue", "row 15\nred", "row 23\nblue"]
    for epoch in (0, 1):
        indices = [epoch * 24 + row for row in rows]
        train = trainer.data.train
        batch = trainer.data_collator([train[index] for index in indices])
        if is_mixed:
            batch = train.__getitems__(indices)
        changed = change_rows(task, trainer.data, batch, trainer.args.seed, epoch)
        for number in range(4):
            picture, title = seen[4 * (epoch + 1) + number]
            assert np.array_equal(picture, changed["pixel_values"][number].permute(1, 2, 0).numpy())
            if is_mixed:
                share, name = float(changed["share"][number]), splits.label_names[changed["labels"][number]]
                assert title.startswith(f"epoch {epoch}\n{share:.0%} {name}\n{1 - share:.0%} ")
            else:
                assert title == f"epoch {epoch}"


def test_a_sheet_of_texts_is_refused(tmp_path: Path) -> None:
    sheet = Sheet(num_rows=2, file=tmp_path / "sheet.png")
    with pytest.raises(InputError, match="--show 2: this task has no pictures; leave it out"):
        check_shown(get_task("text_classification"), sheet)
    check_shown(get_task("image_classification"), sheet)
    check_shown(get_task("text_classification"), None)


def test_more_rows_than_there_are_are_all_rows_in_blocks_of_eight(
    write_recipe: Callable[..., Path], tmp_path: Path, seen: list[tuple[np.ndarray, str]]
) -> None:
    recipe = load_recipe(write_recipe(), ["data.load.rows=9"])
    task = get_task(recipe.task)
    splits = load_splits(recipe.data, task, None)
    loaded = task.outline_model(recipe.model, recipe.preprocess, splits.label_names)
    torch.manual_seed(0)
    told = draw_sheet(recipe, task, loaded, splits, Sheet(num_rows=32, file=tmp_path / "sheet.png"))
    assert told.startswith("9 training rows")
    titles = [title.partition("\n")[0] for _, title in seen]
    first = [f"row {row}" for row in range(8)]
    assert titles == [*first, *["epoch 0"] * 8, *["epoch 1"] * 8, "row 8", "epoch 0", "epoch 1"]


def test_a_row_that_cannot_be_read_is_told_with_its_number(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(), [])
    task = get_task(recipe.task)
    splits = load_splits(recipe.data, task, None)
    outlined = task.outline_model(recipe.model, recipe.preprocess, splits.label_names)
    cells = splits.train.rows.to_list()
    cells[23]["image"]["bytes"] = b"no picture"
    rows = datasets.Dataset.from_list(cells, features=splits.train.rows.features)
    splits = dataclasses.replace(splits, train=dataclasses.replace(splits.train, rows=rows))
    with pytest.raises(InputError, match="row 23 of split 'train': not a readable picture"):
        draw_sheet(recipe, task, outlined, splits, Sheet(num_rows=2, file=tmp_path / "sheet.png"))
    assert not (tmp_path / "sheet.png").exists()
