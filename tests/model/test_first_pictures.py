"""What a first recipe for pictures starts from."""

import pytest

from hf_tune.model.first_pictures import (
    choose_augmentation,
    choose_image_size,
    choose_picture_checkpoint,
    choose_picture_method,
)


@pytest.mark.parametrize(
    ("rows", "rarest", "has_gpu", "method", "words"),
    [
        (204, 101, False, "lora", "204 rows"),
        (2000, 49, True, "lora", "49 rows of a class"),
        (2000, 50, False, "full", "2,000 rows are enough"),
        (45_000, 4500, False, "probe", "45,000 rows on a CPU"),
        (45_000, 4500, True, "full", "45,000 rows are enough"),
    ],
)
def test_few_rows_or_a_slow_machine_train_few_weights(
    rows: int, rarest: int, has_gpu: bool, method: str, words: str
) -> None:
    choice = choose_picture_method(rows, {"a": rows - rarest, "b": rarest}, has_gpu)
    assert choice.value == method and words in choice.why


@pytest.mark.parametrize(
    ("side", "rows", "has_gpu", "size"),
    [
        (32, 45_000, False, 112),
        (32, 45_000, True, None),
        (32, 200, False, None),
        (113, 45_000, False, None),
        (None, 45_000, False, None),
    ],
)
def test_many_small_pictures_are_enlarged_less_on_a_cpu(
    side: int | None, rows: int, has_gpu: bool, size: int | None
) -> None:
    found = choose_image_size(side, rows, has_gpu)
    assert (found["image_size"].value if found else None) == size


def test_a_gpu_trains_a_larger_network() -> None:
    assert (
        "resnet50" in choose_picture_checkpoint(True).value and "mobilenet" in choose_picture_checkpoint(False).value
    )


def test_a_probe_is_not_augmented() -> None:
    assert choose_augmentation("probe") == {} and choose_augmentation("full")["augment"].value == ["random_crop"]
