"""Loading of text checkpoints with a head that fits the labels."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import save_config, save_model
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.text_checkpoint import load_text_classifier, load_text_processor, outline_text_classifier
from hf_tune.model.text_processor import TextOptions
from hf_tune.task import LoadedModel


NAMES = ["a", "b", "c"]
# Family: layers that its checkpoint does not hold, and those of them whose shape depends on the labels.
HEADS = {
    "bert": ({"classifier"}, {"classifier"}),
    "distilbert": ({"pre_classifier", "classifier"}, {"classifier"}),
    "roberta": ({"classifier.dense", "classifier.out_proj"}, {"classifier.out_proj"}),
    "gpt2": ({"score"}, {"score"}),
    "llama": ({"score"}, {"score"}),
    "t5": ({"classification_head.dense", "classification_head.out_proj"}, {"classification_head.out_proj"}),
}
TEXTS = [{"text": "the old rose"}, {"text": "a small fern by the sea"}]

each_family = pytest.mark.parametrize("family", HEADS)


def source(folder: str, **options: Any) -> ModelSource:
    return ModelSource(pretrained_model_name_or_path=folder, **options)


def load(folder: str, names: list[str] | None = None, **options: Any) -> LoadedModel:
    return load_text_classifier(source(folder, **options), TextOptions(), NAMES if names is None else names)


def rename_head(folder: str, target: Path, names: list[str]) -> str:
    """Write the checkpoint as a classifier of these labels with large weights in its head, and return its folder."""
    loaded = load(folder, names)
    with torch.no_grad():
        for name, value in loaded.model.named_parameters():
            if name.rpartition(".")[0] in loaded.new_layers:
                value.fill_(0.5)
    save_model(loaded.model, loaded.processor, target)
    return str(target)


@each_family
def test_new_layers_are_those_that_the_checkpoint_does_not_hold(
    family: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    loaded = load(tiny_text_checkpoints[family])
    new, head = HEADS[family]
    assert loaded.new_layers == new
    for name, value in loaded.model.named_parameters():
        if name.rpartition(".")[0] in head:
            assert 0 < value.std() < 0.002 if value.ndim > 1 else not value.any(), name  # near zero
    assert loaded.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert {value.dtype for value in loaded.model.parameters()} == {torch.float32}


@each_family
def test_the_body_is_the_checkpoints(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    from transformers import AutoModel

    loaded = load(tiny_text_checkpoints[family])
    stored = AutoModel.from_pretrained(tiny_text_checkpoints[family]).state_dict()
    body = loaded.model.base_model.state_dict()
    assert set(body) <= set(stored) and len(body) >= 20  # RoBERTa's classifier leaves the pooler out
    assert all(torch.equal(value, stored[name]) for name, value in body.items())


@each_family
def test_the_first_outputs_are_those_of_guessing(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_text_checkpoints[family])
    encoded = loaded.processor.encode_rows(TEXTS)
    rows = [{name: encoded[name][row] for name in encoded if name != "num_tokens"} for row in range(2)]
    with torch.no_grad():
        logits = loaded.model.eval()(**loaded.processor.pad(rows)).logits
    assert logits.shape == (2, 3) and logits.abs().max() < 0.05


@each_family
def test_an_outline_has_the_same_layers_without_weights(family: str, tiny_text_checkpoints: dict[str, str]) -> None:
    outline = outline_text_classifier(source(tiny_text_checkpoints[family]), TextOptions(), NAMES)
    loaded = load(tiny_text_checkpoints[family])
    assert all(value.is_meta for value in outline.model.parameters())
    shapes = [{name: value.shape for name, value in each.model.named_parameters()} for each in (outline, loaded)]
    assert shapes[0] == shapes[1] and outline.new_layers == HEADS[family][1]


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_another_number_of_labels_than_the_checkpoints_makes_a_new_head(
    family: str, tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    folder = rename_head(tiny_text_checkpoints[family], tmp_path / "five", list("vwxyz"))
    loaded = load(folder)
    label_layer = next(iter(HEADS[family][1]))
    assert loaded.model.get_submodule(label_layer).out_features == 3
    assert loaded.model.get_submodule(label_layer).weight.abs().max() < 0.01
    assert loaded.new_layers == HEADS[family][1]  # T5's inner layer is there


def test_the_same_labels_keep_the_head_and_others_of_that_number_do_not(
    tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    folder = rename_head(tiny_text_checkpoints["roberta"], tmp_path / "three", NAMES)
    same, other = load(folder, NAMES), load(folder, ["x", "y", "z"])
    assert same.model.classifier.out_proj.weight.eq(0.5).all()
    assert other.model.classifier.out_proj.weight.abs().max() < 0.01
    assert other.model.classifier.dense.weight.eq(0.5).all()
    assert same.new_layers == other.new_layers == {"classifier.out_proj"}


@each_family
def test_what_is_saved_loads_with_its_labels_and_tokens(
    family: str, tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    loaded = load_text_classifier(
        source(tiny_text_checkpoints[family], problem_type="regression"), TextOptions(max_length=5), ["score"]
    )
    save_model(loaded.model, loaded.processor, tmp_path / "model")
    save_config(loaded.model.config, loaded.processor, tmp_path / "adapter")
    for folder in (tmp_path / "model", tmp_path / "adapter"):
        processor = load_text_processor(folder)
        assert processor.encode_rows(TEXTS) == loaded.processor.encode_rows(TEXTS)
        assert processor.fingerprint() == loaded.processor.fingerprint()
        assert processor.plain.pad_token == loaded.processor.plain.pad_token
        stored = json.loads((folder / "config.json").read_text())
        assert stored["id2label"] == {"0": "score"} and stored["problem_type"] == "regression"
        assert stored["pad_token_id"] == loaded.processor.plain.pad_token_id


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_decoder_without_a_padding_token_pads_with_the_one_that_ends_a_text(
    family: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    loaded = load(tiny_text_checkpoints[family])
    plain = loaded.processor.plain
    assert plain.pad_token_id == plain.eos_token_id == loaded.model.config.pad_token_id


@pytest.mark.parametrize(
    ("options", "at", "words"),
    [
        ({"model_args": {"drop_rate": 0.3}}, ("model_args",), "write attributes of the config under `config:`"),
        ({"config": {"drop_rate": 0.3}}, ("config", "drop_rate"), "BertConfig has no 'drop_rate'"),
    ],
)
def test_options_that_do_not_fit_are_told(
    options: dict, at: tuple, words: str, tiny_text_checkpoints: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load(tiny_text_checkpoints["bert"], **options)
    assert caught.value.at == at


@each_family
def test_a_checkpoint_without_a_tokenizer_is_told(
    family: str, tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    """transformers 5.23 makes up one of special tokens only, to which every word is unknown."""
    for file in ("config.json", "model.safetensors"):
        shutil.copy(Path(tiny_text_checkpoints[family], file), tmp_path)
    with pytest.raises(InputError, match=r"has no tokenizer that loads: |holds no tokenizer; ") as caught:
        load(str(tmp_path))
    assert caught.value.at == ("pretrained_model_name_or_path",)


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
def test_a_picture_checkpoint_is_told(kind: str, tiny_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"has no tokenizer that loads|holds no tokenizer"):
        load(tiny_checkpoints[kind])


def test_an_outline_has_the_precision_that_the_recipe_asks_for_and_not_the_files(
    tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    """`check` refused PiSSA on a checkpoint that is stored in half precision, and the run took it."""
    from transformers import AutoModel

    folder = tmp_path / "half"
    shutil.copytree(tiny_text_checkpoints["bert"], folder)
    AutoModel.from_pretrained(folder).half().save_pretrained(folder)
    for asked in ("float32", "bfloat16"):
        outline = outline_text_classifier(source(str(folder), dtype=asked), TextOptions(), NAMES)
        loaded = load_text_classifier(source(str(folder), dtype=asked), TextOptions(), NAMES)
        assert outline.model.dtype == loaded.model.dtype == getattr(torch, asked)


def test_a_tokenizer_that_the_network_does_not_know_is_told(
    tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_text_checkpoints["bert"], tmp_path / "small"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 50}))
    with pytest.raises(InputError, match=r"has a tokenizer of \d+ tokens, and its network knows 50"):
        load(str(folder))
