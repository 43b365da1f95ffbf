"""Loading of checkpoints with a head that fits the labels."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import save_config, save_model
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.picture_checkpoint import (
    load_image_classifier,
    load_image_processor,
    outline_image_classifier,
)


NAMES = ["a", "b", "c"]
OPTIONS = PictureOptions(image_size=32)


def source(name: str, **options: object) -> ModelSource:
    return ModelSource(pretrained_model_name_or_path=name, **options)  # type: ignore[arg-type]


def _reference(kind: str, folder: str, auto_class: type) -> dict[str, torch.Tensor]:
    """Return the weights as the library that wrote them loads them."""
    if kind == "timm":
        import timm

        own = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=5)
        return {f"timm_model.{name}": value for name, value in own.state_dict().items()}
    return auto_class.from_pretrained(folder).state_dict()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
def test_only_the_head_is_new_and_the_rest_is_the_checkpoints(kind: str, tiny_checkpoints: dict[str, str]) -> None:
    from transformers import AutoModelForImageClassification

    loaded = load_image_classifier(source(tiny_checkpoints[kind]), OPTIONS, NAMES)
    assert len(loaded.new_layers) == 1 and loaded.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    stored = _reference(kind, tiny_checkpoints[kind], AutoModelForImageClassification)
    head = next(iter(loaded.new_layers))
    for name, value in loaded.model.state_dict().items():
        if name.startswith(head):
            assert value.abs().max() < 0.01  # near zero
        else:
            assert torch.equal(value, stored[name]), name


def test_a_head_of_the_same_size_but_other_labels_is_new(tiny_checkpoints: dict[str, str]) -> None:
    same = load_image_classifier(source(tiny_checkpoints["resnet"]), OPTIONS, [f"old {n}" for n in range(5)])
    other = load_image_classifier(source(tiny_checkpoints["resnet"]), OPTIONS, [f"new {n}" for n in range(5)])
    assert same.model.classifier[1].weight.abs().max() > 0.05
    assert other.model.classifier[1].weight.abs().max() < 0.01
    assert same.new_layers == other.new_layers == {"classifier.1"}  # it trains in any case


def test_a_half_precision_file_becomes_float32(tiny_checkpoints: dict[str, str], tmp_path: Path) -> None:
    """TRAPS T5: from_pretrained follows the file."""
    from transformers import AutoModelForImageClassification

    shutil.copytree(tiny_checkpoints["resnet"], tmp_path / "half")
    AutoModelForImageClassification.from_pretrained(tmp_path / "half").half().save_pretrained(tmp_path / "half")
    loaded = load_image_classifier(source(str(tmp_path / "half")), OPTIONS, NAMES)
    assert {value.dtype for value in loaded.model.parameters()} == {torch.float32}
    asked = load_image_classifier(source(str(tmp_path / "half"), dtype="bfloat16"), OPTIONS, NAMES)
    assert {value.dtype for value in asked.model.parameters()} == {torch.bfloat16}


def test_from_scratch_everything_is_new(tiny_checkpoints: dict[str, str]) -> None:
    loaded = load_image_classifier(source(tiny_checkpoints["resnet"], pretrained=False), OPTIONS, NAMES)
    owners = {name.rpartition(".")[0] for name, _ in loaded.model.named_parameters()}
    assert loaded.new_layers == owners and not loaded.pretrained


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
def test_an_outline_has_the_same_layers_without_weights(kind: str, tiny_checkpoints: dict[str, str]) -> None:
    outline = outline_image_classifier(source(tiny_checkpoints[kind]), OPTIONS, NAMES)
    loaded = load_image_classifier(source(tiny_checkpoints[kind]), OPTIONS, NAMES)
    assert all(value.is_meta for value in outline.model.parameters())
    shapes = [{name: value.shape for name, value in each.model.named_parameters()} for each in (outline, loaded)]
    assert shapes[0] == shapes[1] and outline.new_layers == loaded.new_layers


def test_dropout_is_set_by_model_args_and_config(tiny_checkpoints: dict[str, str]) -> None:
    timm = load_image_classifier(source(tiny_checkpoints["timm"], model_args={"drop_rate": 0.3}), OPTIONS, NAMES)
    assert timm.model.timm_model.drop_rate == 0.3
    deep = load_image_classifier(source(tiny_checkpoints["timm"], model_args={"drop_path_rate": 0.2}), OPTIONS, NAMES)
    assert any(getattr(layer, "drop_prob", 0) > 0 for layer in deep.model.modules())
    vit = load_image_classifier(source(tiny_checkpoints["vit"], config={"hidden_dropout_prob": 0.3}), OPTIONS, NAMES)
    assert any(isinstance(layer, torch.nn.Dropout) and layer.p == 0.3 for layer in vit.model.modules())


@pytest.mark.parametrize(
    ("kind", "options", "at", "words"),
    [
        ("timm", {"model_args": {"drop_rat": 0.3}}, ("model_args",), "drop_rat"),
        ("timm", {"config": {"a": 1}}, ("config",), "takes no `config`"),
        ("vit", {"model_args": {"a": 1}}, ("model_args",), "takes no `model_args`"),
        ("vit", {"config": {"hidden_dropout": 0.3}}, ("config", "hidden_dropout"), "hidden_dropout_prob"),
    ],
)
def test_options_that_do_not_fit_are_told(
    kind: str, options: dict, at: tuple, words: str, tiny_checkpoints: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_image_classifier(source(tiny_checkpoints[kind], **options), OPTIONS, NAMES)
    assert caught.value.at == at


def test_a_size_that_the_model_cannot_take_is_told(tiny_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match="cannot take pictures of") as caught:
        load_image_classifier(source(tiny_checkpoints["vit"]), PictureOptions(image_size=48), NAMES)
    assert caught.value.at == ("preprocess", "image_size")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("somebody/nothing", "there is no folder 'somebody/nothing', the Hub cannot be reached"),
        ("../a b/c", "neither a folder nor a Hub id"),
        (".", "no config.json"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_told(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        load_image_classifier(source(name), OPTIONS, NAMES)


def test_a_checkpoint_for_texts_is_no_checkpoint_for_pictures(tiny_text_checkpoints: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"has no image processor: .*; choose a checkpoint for pictures"):
        load_image_classifier(source(tiny_text_checkpoints["bert"]), OPTIONS, NAMES)


@pytest.mark.parametrize(
    ("kind", "options", "at"),
    [
        ("timm", {"model_args": {"num_classes": 5}}, ("model_args", "num_classes")),
        ("timm", {"model_args": {"in_chans": 1}}, ("model_args", "in_chans")),
        ("vit", {"config": {"hidden_dropout_prob": "much"}}, ("config", "hidden_dropout_prob")),
    ],
)
def test_arguments_that_are_not_the_users_to_set_are_told_with_their_key(
    kind: str, options: dict, at: tuple, tiny_checkpoints: dict[str, str]
) -> None:
    with pytest.raises(InputError) as caught:
        load_image_classifier(source(tiny_checkpoints[kind], **options), OPTIONS, NAMES)
    assert caught.value.at == at


def test_weights_that_are_damaged_are_told(tiny_checkpoints: dict[str, str], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoints["vit"], tmp_path / "vit"))
    (folder / "model.safetensors").write_bytes(b"not a tensor in it")
    with pytest.raises(InputError, match=r"the file of the weights is damaged: .*; fetch or save it again"):
        load_image_classifier(source(str(folder)), OPTIONS, NAMES)


@pytest.mark.parametrize("kind", ["resnet", "timm"])
def test_what_is_saved_loads_with_its_labels_and_processor(
    kind: str, tiny_checkpoints: dict[str, str], tmp_path: Path, pictures: list
) -> None:
    loaded = load_image_classifier(source(tiny_checkpoints[kind]), OPTIONS, NAMES)
    save_model(loaded.model, loaded.processor, tmp_path / "model")
    save_config(loaded.model.config, loaded.processor, tmp_path / "adapter")
    for folder in (tmp_path / "model", tmp_path / "adapter"):
        processor = load_image_processor(folder)
        assert all(torch.equal(processor.encode(each), loaded.processor.encode(each)) for each in pictures)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config.get("label_names") or list(config["id2label"].values())) == NAMES


@pytest.mark.parametrize("kind", ["resnet", "timm"])
def test_a_range_of_grey_values_is_that_of_the_recipe_or_else_of_the_checkpoint(
    kind: str, tiny_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoints[kind], tmp_path / kind))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intensity": [0, 4095]}))
    source = ModelSource(pretrained_model_name_or_path=str(folder))
    for written, expected in ((None, [0, 4095]), ("file", "file"), ([5.0, 6.0], [5.0, 6.0])):
        outline = outline_image_classifier(source, PictureOptions(intensity=written), ["a", "b"])
        assert outline.processor.intensity == outline.model.config.intensity == expected
    plain = outline_image_classifier(
        ModelSource(pretrained_model_name_or_path=tiny_checkpoints[kind]), PictureOptions(), ["a", "b"]
    )
    assert plain.processor.intensity is None and not hasattr(plain.model.config, "intensity")
