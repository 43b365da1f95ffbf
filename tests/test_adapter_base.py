"""The base under an adapter: another one is told, before anything stands on it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_tune.adapter_base import build_outline
from hf_tune.finetuned import load_finetuned
from hf_tune.input_error import InputError


FIVE = tuple(f"colour {number}" for number in range(5))


def change_results(folder: Path, tmp_path: Path, **base: Any) -> Path:
    copy = Path(shutil.copytree(folder, tmp_path / "changed"))
    results = json.loads((copy / "results.json").read_text())
    results["base"] |= base
    (copy / "results.json").write_text(json.dumps(results))
    return copy


def test_another_base_is_told(save_run: Callable[..., Path], tiny_text_checkpoints: dict[str, str]) -> None:
    one = load_finetuned(save_run("bert", "lora"))
    with pytest.raises(InputError, match=r"was trained on another base: '.*roberta', not '.*bert'; load it by itself"):
        one.add_adapter(save_run("roberta", "lora"))


def test_another_revision_counts_only_where_its_weights_differ(save_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = save_run("bert", "lora", FIVE)
    one = load_finetuned(save_run("bert", "lora"))
    same = change_results(folder, tmp_path / "a", revision="b" * 40)
    assert one.add_adapter(same).label_names == FIVE
    other = change_results(folder, tmp_path / "b", revision="b" * 40, fingerprint="0" * 16)
    with pytest.raises(InputError, match=f"revision {'b' * 40} of '.*', and this one on None: other weights"):
        one.add_adapter(other)
    with pytest.raises(InputError, match=r"trained on other weights of '.*bert' than this one"):
        one.add_adapter(change_results(folder, tmp_path / "c", fingerprint="0" * 16))
    with pytest.raises(InputError, match="is quantised otherwise"):
        one.add_adapter(change_results(folder, tmp_path / "d", quantization={"quant_method": "torchao"}))


def test_another_configuration_of_the_base_is_told_and_dropout_is_none(save_run: Callable[..., Path]) -> None:
    one = load_finetuned(save_run("bert", "lora"))
    one.add_adapter(save_run("bert", "lora", FIVE, overrides=("model.config.hidden_dropout_prob=0.3",)))
    with pytest.raises(InputError, match="with another configuration: hidden_act 'relu', not 'gelu'"):
        one.add_adapter(save_run("bert", "lora", FIVE, overrides=("model.config.hidden_act=relu",)))


def test_an_adapter_of_a_copy_of_the_base_is_welcome(
    save_run: Callable[..., Path], tiny_text_checkpoints: dict[str, str], tmp_path: Path
) -> None:
    copy = str(shutil.copytree(tiny_text_checkpoints["bert"], tmp_path / "copy"))
    folder = save_run("bert", "lora", FIVE, base=copy)
    added = load_finetuned(save_run("bert", "lora")).add_adapter(folder)
    assert added.predict(["moss"]) == load_finetuned(folder).predict(["moss"])


def test_without_results_the_base_is_known_by_its_name(save_run: Callable[..., Path], tmp_path: Path) -> None:
    one, two = (Path(shutil.copytree(save_run("bert", "lora", FIVE), tmp_path / name)) for name in ("one", "two"))
    for folder in (one, two):
        (folder / "results.json").unlink()
    assert load_finetuned(one).add_adapter(two).label_names == FIVE
    config = json.loads((two / "adapter_config.json").read_text())
    (two / "adapter_config.json").write_text(json.dumps(config | {"revision": "c" * 40}))
    with pytest.raises(InputError, match=f"revision {'c' * 40} of"):
        load_finetuned(one).add_adapter(two)


def test_an_outline_has_shapes_and_no_weights(save_run: Callable[..., Path]) -> None:
    folder = save_run("bert", "lora", FIVE)
    outline = build_outline(folder, load_finetuned(folder).task)
    assert outline.classifier.weight.shape == (5, 16) and all(value.is_meta for value in outline.parameters())


def test_each_adapter_on_a_base_has_its_own_range_of_grey_values(save_run: Callable[..., Path]) -> None:
    one = load_finetuned(save_run("vit", "lora", FIVE, overrides=("preprocess.intensity=file",)))
    assert one.encoder.intensity == "file"
    assert one.add_adapter(save_run("vit", "lora", FIVE)).encoder.intensity is None
