"""config.json of a checkpoint, wherever it comes from."""

import json
from pathlib import Path

import pytest

from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource, fetch_config, read_stored_labels


def test_a_timm_name_without_weights_needs_no_network() -> None:
    source = ModelSource(pretrained_model_name_or_path="timm/test_resnet.r160_in1k", pretrained=False)
    config, commit = fetch_config(source)
    assert config["architecture"] == "test_resnet" and commit is None


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no config\.json") as caught:
        fetch_config(ModelSource(pretrained_model_name_or_path=str(tmp_path)))
    assert caught.value.at == ("pretrained_model_name_or_path",)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is damaged: .*; fetch or save it again"), ("[1]", "is no config of a model")]
)
def test_a_config_that_cannot_be_read_is_told(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=words):
        fetch_config(ModelSource(pretrained_model_name_or_path=str(tmp_path)))


def test_the_folder_of_an_adapter_is_no_checkpoint_to_start_from(tmp_path: Path) -> None:
    for name in ("config.json", "adapter_config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="holds an adapter, not a whole model; merge it: hf-tune merge"):
        fetch_config(ModelSource(pretrained_model_name_or_path=str(tmp_path)))


def test_labels_come_in_the_order_of_their_numbers(tiny_checkpoints: dict[str, str]) -> None:
    assert read_stored_labels({"id2label": {"10": "k", "2": "c", "0": "a"}}) == ["a", "c", "k"]
    assert read_stored_labels({"label_names": ["x", "y"]}) == ["x", "y"]
    assert read_stored_labels({}) == []
    stored = json.loads(Path(tiny_checkpoints["vit"], "config.json").read_text())
    assert read_stored_labels(stored)[4] == "old 4"
