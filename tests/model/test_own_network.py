"""A head with hidden layers, and pictures in tiles: built, saved, loaded and adapted like any other network."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import AutoModelForImageClassification, DeiTConfig, ViTConfig

from hf_tune.finetuned import load_finetuned
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.image_processor import PictureOptions
from hf_tune.model.new_layers import HiddenLayers, find_head
from hf_tune.model.own_network import (
    HiddenHead,
    OwnParts,
    Tiles,
    choose_class,
    count_tiles,
    cut_tiles,
    describe_own_parts,
    get_network_side,
    read_own_parts,
    set_head,
    set_tiles,
)
from hf_tune.model.picture_checkpoint import load_image_classifier, outline_image_classifier


NAMES = ("red", "green", "blue")
HEAD = HiddenHead(hidden=[12, 7], dropout=0.25)
TILED = PictureOptions(image_size=64, tiles=Tiles(size=32, overlap=0.25, reduce="max"))


def load(folder: str, options: PictureOptions | None = None, names: tuple[str, ...] = NAMES, **model: Any) -> Any:
    source = ModelSource(pretrained_model_name_or_path=folder, **model)
    return load_image_classifier(source, options or PictureOptions(), names)


def layers(head: Any) -> list[str]:
    return [type(layer).__name__ for layer in head]


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
def test_a_head_with_hidden_layers_is_new_and_the_rest_is_the_checkpoints(
    kind: str, tiny_checkpoints: dict[str, str]
) -> None:
    plain, loaded = load(tiny_checkpoints[kind]), load(tiny_checkpoints[kind], head=HEAD)
    head = loaded.model.get_submodule(find_head(loaded.model, 3))
    assert layers(head) == ["Linear", "GELU", "Dropout", "Linear", "GELU", "Dropout", "Linear"]
    assert [layer.out_features for layer in head if hasattr(layer, "out_features")] == [12, 7, 3]
    assert head[2].p == 0.25 and head[0].weight.std() > 0.05 and head[-1].weight.std() < 0.01
    assert loaded.fingerprint == plain.fingerprint and len(loaded.new_layers) == 3
    outline = outline_image_classifier(
        ModelSource(pretrained_model_name_or_path=tiny_checkpoints[kind], head=HEAD), PictureOptions(), NAMES
    )
    assert outline.new_layers == loaded.new_layers
    assert [name for name, _ in outline.model.named_parameters()] == [n for n, _ in loaded.model.named_parameters()]


@pytest.mark.parametrize(
    ("network", "method"), [("timm", "full"), ("timm", "lora"), ("vit", "lora"), ("bert", "lora")]
)
def test_such_a_head_is_saved_and_comes_back(network: str, method: str, save_run: Callable[..., Path]) -> None:
    run = save_run(network, method, overrides=("model.head.hidden=[6]",))
    assert json.loads((run / "config.json").read_text())["mlp_head"] == {"hidden": [6], "dropout": 0.0}
    once, again = (load_finetuned(run) for _ in range(2))
    assert isinstance(once.model.get_submodule(find_head(once.model, 3)), HiddenLayers)
    examples = [{"text": "the old rose"}] if network == "bert" else [{"image": PIL.Image.new("RGB", (40, 32), "teal")}]
    assert np.array_equal(once.read_outputs(examples), again.read_outputs(examples))


def test_a_run_goes_on_from_such_a_head_and_may_take_it_away(save_run: Callable[..., Path]) -> None:
    run = str(save_run("timm", "full", overrides=("model.head.hidden=[6]",)))
    saved, same = load_finetuned(run).model, load(run, PictureOptions(image_size=32, crop_mode="squash"))
    assert all(torch.equal(value, same.model.state_dict()[name]) for name, value in saved.state_dict().items())
    other = load(run, names=("a", "b"))
    assert layers(other.model.timm_model.fc) == ["Linear", "GELU", "Dropout", "Linear"]
    assert other.model.timm_model.fc[-1].out_features == 2 and other.model.timm_model.fc[-1].weight.std() < 0.01
    assert not torch.equal(other.model.timm_model.fc[0].weight, saved.timm_model.fc[0].weight)
    assert isinstance(load(run, head="linear").model.timm_model.fc, torch.nn.Linear)


def test_the_features_of_such_a_head_are_what_a_linear_one_reads(tiny_checkpoints: dict[str, str]) -> None:
    model = load(tiny_checkpoints["timm"], head=HEAD).model
    seen: list[Any] = []
    model.get_submodule(find_head(model, 3)).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.eval()(pixel_values=torch.zeros(2, 3, 32, 32))
    assert seen[0].shape == (2, model.timm_model.num_features)


def test_a_class_is_transformers_own_unless_something_is_ours() -> None:
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8)
    assert choose_class(AutoModelForImageClassification, config) is AutoModelForImageClassification
    set_head(config, HEAD, OwnParts())
    own = choose_class(AutoModelForImageClassification, config)
    assert own.__name__ == "ViTForImageClassification" and own is choose_class(AutoModelForImageClassification, config)
    set_head(config, "linear", OwnParts(mlp_head={"hidden": [3], "dropout": 0.0}))
    assert read_own_parts(config) == OwnParts() and "mlp_head" not in config.to_dict()


def test_a_network_that_also_has_a_form_with_a_teacher_is_the_plain_one() -> None:
    config = DeiTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8)
    set_head(config, HEAD, OwnParts())
    assert choose_class(AutoModelForImageClassification, config).__name__ == "DeiTForImageClassification"


@pytest.mark.parametrize(
    ("make", "at", "words"),
    [
        (lambda: HiddenHead(hidden=[]), "hidden", "no hidden layers; give widths, as \\[256\\]"),
        (lambda: HiddenHead(hidden=[0]), "hidden", "no hidden layers"),
        (lambda: HiddenHead(hidden=[8], dropout=1.0), "dropout", "out of range"),
        (lambda: Tiles(size=4), "size", "out of range"),
        (lambda: Tiles(overlap=0.95), "overlap", "out of range; give 0 to 0.9"),
        (lambda: set_tiles(SimpleNamespace(), Tiles(), OwnParts(), 64, None), "size", "does not say which size"),
        (lambda: set_tiles(SimpleNamespace(), Tiles(), OwnParts(), 224, 224), "tiles", "preprocess.image_size: 896"),
    ],
)
def test_what_cannot_be_is_told_with_its_key(make: Callable[[], Any], at: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert caught.value.at[-1] == at


def test_a_head_that_is_a_convolution_stays() -> None:
    with pytest.raises(InputError, match="no linear layer but a Conv2d"):
        outline_image_classifier(
            ModelSource(pretrained_model_name_or_path="timm/resnetv2_50", pretrained=False, head=HEAD),
            PictureOptions(),
            NAMES,
        )


def test_tiles_cover_a_picture_and_overlap() -> None:
    picture = torch.arange(2 * 8 * 8).reshape(2, 1, 8, 8)
    tiles = cut_tiles(picture, 4, 0.0)
    assert tiles.shape == (8, 1, 4, 4)
    assert torch.equal(tiles[1], picture[0, :, :4, 4:]) and torch.equal(tiles[4], picture[1, :, :4, :4])
    assert torch.equal(cut_tiles(picture, 4, 0.5)[:9][4], picture[0, :, 2:6, 2:6])
    seven = cut_tiles(picture[:1, :, :7, :7], 4, 0.0)  # they move together where the side is no multiple
    assert len(seven) == 4 and torch.equal(seven[3], picture[0, :, 3:7, 3:7])


@pytest.mark.parametrize("kind", ["resnet", "vit", "timm"])
@pytest.mark.parametrize(("reduce", "expected"), [("mean", torch.mean), ("max", torch.amax)])
def test_the_logits_of_a_picture_are_those_of_its_tiles(
    kind: str, reduce: Any, expected: Callable[..., Any], tiny_checkpoints: dict[str, str]
) -> None:
    options = PictureOptions(image_size=80, tiles=Tiles(size=32, overlap=0.25, reduce=reduce))
    tiled, plain = load(tiny_checkpoints[kind], options), load(tiny_checkpoints[kind])
    torch.nn.init.normal_(tiled.model.get_submodule(find_head(tiled.model, 3)).weight, std=0.5)
    plain.model.load_state_dict(tiled.model.state_dict())
    assert count_tiles(tiled.model.config, 80) == 9 and get_network_side(tiled.model.config, 80) == 32
    pixels = torch.randn(2, 3, 80, 80)
    with torch.no_grad():
        given = tiled.model.eval()(pixel_values=pixels).logits
        parts = [plain.model.eval()(pixel_values=cut_tiles(row[None], 32, 0.25)).logits for row in pixels]
    assert torch.allclose(given, torch.stack([expected(part, dim=0) for part in parts]), atol=1e-6)


def test_tiles_are_counted_on_the_meta_device_too(tiny_checkpoints: dict[str, str]) -> None:
    """What `check` says of memory is computed there."""
    source = ModelSource(pretrained_model_name_or_path=tiny_checkpoints["timm"])
    model = outline_image_classifier(source, TILED, NAMES).model.eval()
    with torch.device("meta"):
        assert model(pixel_values=torch.empty(2, 3, 64, 64)).logits.shape == (2, 3)


def test_tiles_are_as_large_as_the_pictures_that_the_checkpoint_knows(tiny_checkpoints: dict[str, str]) -> None:
    loaded = load(tiny_checkpoints["vit"], PictureOptions(image_size=96, tiles=Tiles()))
    assert loaded.model.config.tiles["size"] == 32 and loaded.own_size == 32
    assert get_network_side(load(tiny_checkpoints["vit"]).model.config, 32) == 32


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_in_tiles_predicts_as_it_was_trained(method: str, save_run: Callable[..., Path]) -> None:
    options = ("preprocess.image_size=64", "preprocess.tiles.size=32", "preprocess.tiles.reduce=max")
    run = save_run("timm", method, overrides=options)
    finetuned = load_finetuned(run)
    assert read_own_parts(finetuned.model.config).tiles == {"size": 32, "overlap": 0.0, "reduce": "max"}
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    quarters = [pixels[top : top + 32, left : left + 32] for top in (0, 32) for left in (0, 32)]
    whole = finetuned.read_outputs([{"image": PIL.Image.fromarray(pixels)}])[0]
    same = [np.tile(quarter, (2, 2, 1)) for quarter in quarters]  # each stands four times in a picture of its own
    parts = finetuned.read_outputs([{"image": PIL.Image.fromarray(each)} for each in same])
    assert np.allclose(whole, parts.max(axis=0), atol=1e-5)


def test_a_run_that_starts_from_one_in_tiles_keeps_them(save_run: Callable[..., Path]) -> None:
    options = ("preprocess.image_size=64", "preprocess.tiles.size=32")
    loaded = load(str(save_run("timm", "full", overrides=options)))
    assert loaded.model.config.tiles["size"] == 32 and loaded.own_size == 32


def test_what_plain_libraries_do_not_build_is_said() -> None:
    assert describe_own_parts(OwnParts()) == ""
    parts = OwnParts(mlp_head={"hidden": [3]}, tiles={"size": 32})
    assert describe_own_parts(parts) == "has a head with hidden layers and sees pictures in tiles"
