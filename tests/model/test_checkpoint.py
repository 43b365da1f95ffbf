"""What every kind of checkpoint shares: its config, its outline, its weights, and what is saved."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    MobileNetV1Config,
    MobileNetV2Config,
    ViTConfig,
)

from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import (
    build_outline,
    configure,
    find_absent,
    fingerprint_weights,
    load_weights,
    refuse,
    save_config,
    save_model,
)
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.task import LoadedModel


NAMES = ["a", "b", "c"]
PROCESSOR = SimpleNamespace(plain=SimpleNamespace(save_pretrained=lambda folder: Path(folder, "processor").touch()))


def source(folder: str, **options: Any) -> ModelSource:
    return ModelSource(pretrained_model_name_or_path=folder, **options)


def load(folder: str, names: list[str] | None = None, **options: Any) -> LoadedModel:
    """Load as the tasks do, without a processor."""
    names = NAMES if names is None else names
    given = source(folder, **options)
    outline = build_outline(
        AutoModelForSequenceClassification, configure(given, None, names), PROCESSOR, given, revision=None
    )
    stored = json.loads(Path(folder, "config.json").read_text())
    return load_weights(outline, AutoModelForSequenceClassification, given, stored, names)


def test_a_config_gets_labels_kind_and_the_recipes_attributes(tiny_text_checkpoints: dict[str, str]) -> None:
    given = source(
        tiny_text_checkpoints["bert"], problem_type="multi_label_classification", config={"hidden_dropout_prob": 0.3}
    )
    config = configure(given, None, NAMES)
    assert config.id2label == {0: "a", 1: "b", 2: "c"} and config.label2id == {"a": 0, "b": 1, "c": 2}
    assert config.num_labels == 3
    assert config.problem_type == "multi_label_classification" and config.hidden_dropout_prob == 0.3
    assert (config.hidden_size, config.num_hidden_layers) == (16, 2)  # the checkpoint's own


def test_an_attribute_that_the_config_does_not_have_is_told_with_those_it_has(
    tiny_text_checkpoints: dict[str, str],
) -> None:
    with pytest.raises(InputError, match=r"BertConfig has no 'dropout'; it has: .*hidden_size") as caught:
        configure(source(tiny_text_checkpoints["bert"], config={"dropout": 0.3}), None, NAMES)
    assert caught.value.at == ("config", "dropout")


@pytest.mark.parametrize(("config", "dropped"), [(MobileNetV1Config, 0.001), (MobileNetV2Config, 0.2)])
def test_what_a_mobilenet_keeps_is_not_taken_for_what_it_drops(
    config: Any, dropped: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config().save_pretrained(tmp_path)
    mended = configure(source(str(tmp_path)), None, NAMES)
    assert mended.classifier_dropout_prob == dropped and "which is what its authors keep" in caplog.text
    asked = configure(source(str(tmp_path), config={"classifier_dropout_prob": 0.8}), None, NAMES)
    assert asked.classifier_dropout_prob == 0.8
    mended.save_pretrained(tmp_path)
    caplog.clear()
    assert configure(source(str(tmp_path)), None, NAMES).classifier_dropout_prob == dropped and not caplog.text


def test_a_folder_of_an_unknown_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nothing_known"}')
    with pytest.raises(InputError, match="is no model of transformers") as caught:
        configure(source(str(tmp_path)), None, NAMES)
    assert caught.value.at == ("pretrained_model_name_or_path",)


def test_a_key_that_a_checkpoint_does_not_take_is_refused_only_where_it_is_given() -> None:
    refuse(source("x/y"), "model_args", "a hint")
    with pytest.raises(InputError, match="'x/y' takes no `model_args`; a hint") as caught:
        refuse(source("x/y", model_args={"drop_rate": 0.1}), "model_args", "a hint")
    assert caught.value.at == ("model_args",)


@pytest.mark.parametrize(
    ("auto_class", "config"),
    [
        (AutoModelForSequenceClassification, ViTConfig(num_hidden_layers=1)),
        (AutoModelForImageClassification, BertConfig(num_hidden_layers=1)),
    ],
    ids=["texts", "pictures"],
)
def test_an_architecture_without_a_head_for_the_task_is_told_in_one_line(auto_class: Any, config: Any) -> None:
    words = f"^{config.model_type} has no head for this task: .*; choose a checkpoint of another architecture$"
    with pytest.raises(InputError, match=words) as caught:
        build_outline(auto_class, config, PROCESSOR, source("x/y"), None)
    assert caught.value.at == ("pretrained_model_name_or_path",)


def test_an_outline_has_no_weights_and_knows_what_is_new(tiny_text_checkpoints: dict[str, str]) -> None:
    folder = tiny_text_checkpoints["bert"]
    for pretrained in (True, False):
        given = source(folder, pretrained=pretrained)
        outline = build_outline(
            AutoModelForSequenceClassification, configure(given, None, NAMES), PROCESSOR, given, revision="abc"
        )
        assert all(value.is_meta for value in outline.model.parameters())
        owners = {name.rpartition(".")[0] for name, _ in outline.model.named_parameters()}
        assert outline.new_layers == ({"classifier"} if pretrained else owners)
        assert (outline.base_id, outline.revision, outline.pretrained) == (folder, "abc", pretrained)


def test_an_attention_that_is_not_there_is_told(tiny_text_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"this attention is not there: .*; take it out") as caught:
        load(tiny_text_checkpoints["bert"], attn_implementation="nonsense")
    assert caught.value.at == ("attn_implementation",)
    assert (
        load(tiny_text_checkpoints["bert"], attn_implementation="eager").model.config._attn_implementation == "eager"
    )


def test_weights_that_are_not_there_are_told(tiny_text_checkpoints: dict[str, str], tmp_path: Path) -> None:
    shutil.copy(Path(tiny_text_checkpoints["bert"], "config.json"), tmp_path)
    with pytest.raises(InputError, match="the weights cannot be loaded: ") as caught:
        load(str(tmp_path))
    assert caught.value.at == ("pretrained_model_name_or_path",)


def test_a_body_that_the_checkpoint_lacks_in_part_is_said_and_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A masked language model of BERT has no pooler."""
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=50, **size)).save_pretrained(tmp_path)
    loaded = load(str(tmp_path))
    assert loaded.new_layers == {"bert.pooler.dense", "classifier"}
    assert "the checkpoint does not hold bert.pooler.dense.bias, bert.pooler.dense.weight" in caplog.text
    assert loaded.model.bert.pooler.dense.weight.std() > 0.01  # only heads start near zero


def test_nothing_is_said_where_only_the_head_is_new(
    tiny_text_checkpoints: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    load(tiny_text_checkpoints["bert"])
    assert caplog.text == ""


def test_from_scratch_the_initialisation_is_the_architectures_own(tiny_text_checkpoints: dict[str, str]) -> None:
    torch.manual_seed(5)
    loaded = load(tiny_text_checkpoints["bert"], pretrained=False, dtype="bfloat16")
    torch.manual_seed(5)
    expected = AutoModelForSequenceClassification.from_config(loaded.model.config).state_dict()
    assert {value.dtype for value in loaded.model.parameters()} == {torch.bfloat16}
    assert all(torch.equal(value, expected[name].bfloat16()) for name, value in loaded.model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_precision_is_the_recipes(dtype: str, tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints["gpt2"], dtype=dtype)
    assert {value.dtype for value in loaded.model.parameters()} == {getattr(torch, dtype)}


def test_a_config_is_saved_with_labels_and_the_processors_files(
    tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    config = configure(source(tiny_text_checkpoints["bert"], problem_type="regression"), None, ["score"])
    save_config(config, PROCESSOR, tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert (stored["id2label"], stored["problem_type"]) == ({"0": "score"}, "regression")
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "processor"}


def test_a_saved_model_is_the_one_that_plain_transformers_loads(
    tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    loaded = load(tiny_text_checkpoints["llama"])
    save_model(loaded.model, PROCESSOR, tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert again.keys() == loaded.model.state_dict().keys()
    assert all(torch.equal(value, again[name]) for name, value in loaded.model.state_dict().items())


def test_what_is_absent_are_parameters_that_are_missing_or_of_another_shape_and_no_buffers() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    info = {
        "missing_keys": {"0.bias", "1.num_batches_tracked"},
        "mismatched_keys": {("0.weight", (2, 2), (3, 2)), ("1.running_mean", (2,), (3,))},
    }
    assert find_absent(model, info) == {"0.bias", "0.weight"}


def test_a_fingerprint_changes_with_the_weights_and_not_with_what_is_left_out() -> None:
    """A parameter without a value would be sampled in steps of 0."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    model.empty = torch.nn.Parameter(torch.zeros(0))
    whole, without = fingerprint_weights(model, ()), fingerprint_weights(model, ["1"])
    with torch.no_grad():
        model[1].bias[0] += 1e-3
    assert fingerprint_weights(model, ()) != whole and fingerprint_weights(model, ["1"]) == without
