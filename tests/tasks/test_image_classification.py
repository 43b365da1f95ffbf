"""The image classification task: one encoded example, one batch, the metric, two steps lower the loss."""

import io
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

from hf_tune.data.draws import Draws
from hf_tune.data.encoded import encode_split
from hf_tune.data.splits import Split
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.results import plots
from hf_tune.task import SINGLE_LABEL, Scored
from hf_tune.tasks.image_classification import TASK, Preprocess


@pytest.fixture(scope="module")
def loaded() -> object:
    source = ModelSource(pretrained_model_name_or_path="timm/test_resnet.r160_in1k", pretrained=False)
    return TASK.load_model(source, Preprocess(image_size=32), ["a", "b"])


def test_one_example_is_encoded_collated_and_normalised(loaded: SimpleNamespace, pictures: list) -> None:
    examples = [TASK.encode({"image": picture, "label": 1}, loaded.processor) for picture in pictures[:2]]
    assert examples[0]["pixel_values"].shape == (3, 32, 32) and examples[0]["pixel_values"].dtype == torch.uint8
    batch = TASK.collate(examples, loaded.processor)
    assert batch["labels"].tolist() == [1, 1]
    inputs = TASK.to_inputs(batch, loaded.processor)["pixel_values"]
    assert torch.allclose(inputs, batch["pixel_values"] / 127.5 - 1, atol=1e-6)  # mean and std of 0.5


def test_augmentation_changes_pixels_but_neither_labels_nor_shapes(loaded: SimpleNamespace, pictures: list) -> None:
    from hf_tune.data.augmentation import HorizontalFlip

    examples = [TASK.encode({"image": each, "label": 0}, loaded.processor) for each in pictures]
    batch = TASK.collate(examples, loaded.processor)
    options = Preprocess(augment=[HorizontalFlip(probability=1.0)])  # type: ignore[list-item]
    changed = TASK.augment(batch, options, Draws(0, 0, np.arange(4)))
    assert torch.equal(changed["pixel_values"], batch["pixel_values"].flip(3))
    assert torch.equal(changed["labels"], batch["labels"])


def test_two_steps_lower_the_loss(loaded: SimpleNamespace, pictures: list) -> None:
    examples = [
        TASK.encode({"image": each, "label": number % 2}, loaded.processor) for number, each in enumerate(pictures)
    ]
    batch = TASK.collate(examples, loaded.processor)
    optimiser = torch.optim.SGD(loaded.model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        loss = TASK.loss(loaded.model.train()(**TASK.to_inputs(batch, loaded.processor)), batch, 0.0).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]


def test_predictions_carry_names_and_probabilities() -> None:
    outputs = SimpleNamespace(logits=torch.tensor([[0.25, 0.75], [0.6, 0.4]]).log())
    batch = {"labels": torch.tensor([1, 1])}
    kept = {
        name: value.numpy() for name, value in {**TASK.keep_per_row(outputs, batch, SINGLE_LABEL), **batch}.items()
    }
    first, second = TASK.decode(kept, ["a", "b"])
    assert (first.label, second.label) == ("b", "a")
    assert first.score == pytest.approx(0.75) and first.scores == pytest.approx({"a": 0.25, "b": 0.75})
    columns = TASK.prediction_columns(kept, ["a", "b"])
    assert columns["label"] == ["b", "b"] and columns["prediction"] == ["b", "a"]


def test_features_are_cut_before_the_head_also_under_an_adapter(tiny_checkpoints: dict[str, str]) -> None:
    from hf_tune.adapter.attach import attach_adapter

    for kind, size in (("resnet", 16), ("vit", 16), ("timm", 96)):
        source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints[kind])
        model = attach_adapter(TASK.load_model(source, Preprocess(), ["a", "b", "c"]), "lora", None, None)
        assert model.get_submodule(TASK.feature_cut(model, 3)).in_features == size


def test_input_statistics_by_hand(loaded: SimpleNamespace) -> None:
    picture = PIL.Image.new("L", (6, 4), 51)
    expected = {"width": 6.0, "height": 4.0, "brightness": 51 / 255}
    assert TASK.input_statistics({"image": picture}, loaded.processor) == pytest.approx(expected)


def test_a_picture_that_cannot_be_read_is_told(loaded: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="not a readable picture"):
        TASK.check_example(TASK.read_input("nowhere.png"), loaded.processor)


def test_details_count_rows_by_true_and_predicted_class() -> None:
    kept = {"top_labels": np.asarray([[0, 1], [0, 1], [1, 0]]), "labels": np.asarray([0, 1, 1])}
    assert TASK.details(kept, ["a", "b"])["confusion_matrix"] == [[1, 0], [1, 1]]
    section = TASK.card_section({"details": TASK.details(kept, ["a", "b|c"])})
    assert "| b\\|c | 1.000 | 0.500 | 0.667 | 2 |" in section


def test_pictures_of_several_frames_are_told_before_training_and_when_they_are_predicted(
    loaded: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [PIL.Image.new("RGB", (40, 40), (200 * number, 0, 0)) for number in range(3)]
    contents = []
    for number in range(3):
        frames[0].save(tmp_path / f"{number}.gif", save_all=True, append_images=frames[1 : 1 + number])
        contents.append((tmp_path / f"{number}.gif").read_bytes())
    rows = datasets.Dataset.from_dict({"image": contents, "other": [1, 2, 3]})
    encoded = encode_split(Split(name="train", rows=rows), TASK, loaded.processor)
    told = "2 of 3 pictures of the train split hold several frames or pages, the first of them in row 1 of split "
    assert TASK.describe_encoded(encoded, None) == [f"{told}'train': of each the first frame is read."]
    assert TASK.describe_encoded(encode_split(Split(name="a", rows=rows.select([0])), TASK, loaded.processor), 0) == []
    assert TASK.read_input(tmp_path / "0.gif") == {"image": tmp_path / "0.gif"} and not caplog.records
    TASK.read_input(tmp_path / "2.gif")
    TASK.read_input(contents[1])
    said = [record.getMessage() for record in caplog.records]
    assert said[0].endswith("2.gif holds 3 frames or pages: the first one is read")
    assert said[1] == "a picture holds 2 frames or pages: the first one is read"


def test_mistakes_are_drawn_of_pictures_of_any_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []
    monkeypatch.setattr(plots, "plot_pictures", lambda pictures, titles, file: drawn.extend(map(np.asarray, pictures)))
    stream = io.BytesIO()
    PIL.Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)).save(stream, "png")
    split = [{"image": stream.getvalue()}, {"image": PIL.Image.new("L", (8, 8), 7)}]
    kept = {
        "top_labels": np.asarray([[0, 1], [1, 0]]),
        "top_log_probabilities": np.log([[0.9, 0.1], [0.8, 0.2]]),
        "labels": np.asarray([1, 0]),
    }
    scored = Scored(split=split, kept=kept, label_names=["a", "b"], history=[])
    TASK.plots(scored, tmp_path)
    assert sorted(each[0, :3, 0].tolist() for each in drawn) == [[0, 128, 255], [7, 7, 7]]
