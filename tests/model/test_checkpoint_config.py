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


def test_labels_come_in_the_order_of_their_numbers(tiny_checkpoints: dict[str, str]) -> None:
    assert read_stored_labels({"id2label": {"10": "k", "2": "c", "0": "a"}}) == ["a", "c", "k"]
    assert read_stored_labels({"label_names": ["x", "y"]}) == ["x", "y"]
    assert read_stored_labels({}) == []
    stored = json.loads(Path(tiny_checkpoints["vit"], "config.json").read_text())
    assert read_stored_labels(stored)[4] == "old 4"
