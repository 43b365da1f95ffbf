"""What transformers, PEFT and timm alone make of a run's folder: the outputs of load_finetuned, or an error."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import timm
import torch
import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, pipeline

from hf_tune.finetuned import load_finetuned


TEXTS = ["the old rose", "near a ruby brick sky", "moss"]
ADAPTERS = [
    *(("bert", method) for method in ("lora", "prefix", "bottleneck")),
    *((network, method) for network in ("vit", "timm", "resnet") for method in ("lora", "bottleneck")),
]
each_adapter = pytest.mark.parametrize(("network", "method"), ADAPTERS)


pytestmark = pytest.mark.usefixtures("one_thread")


def is_text(network: str) -> bool:
    return network == "bert"


def get_auto(network: str) -> Any:
    head = "SequenceClassification" if is_text(network) else "ImageClassification"
    return getattr(transformers, f"AutoModelFor{head}")


def prepare(network: str, run: Path, pictures: list[Any]) -> tuple[list[Any], Any]:
    """Return inputs for `predict` and pipelines, and the same as the plain processor of the folder makes them."""
    if is_text(network):
        return TEXTS, AutoTokenizer.from_pretrained(run)(TEXTS, padding=True, return_tensors="pt")
    return pictures, AutoImageProcessor.from_pretrained(run)(pictures, return_tensors="pt")


def read_ours(run: Path, inputs: list[Any]) -> np.ndarray:
    finetuned = load_finetuned(run)
    return finetuned.read_outputs([finetuned.task.read_input(each) for each in inputs])


@torch.inference_mode()
def read_theirs(model: Any, batch: Any) -> np.ndarray:
    outputs = model.eval()(**batch) if hasattr(model, "config") else model.eval()(batch["pixel_values"])
    return getattr(outputs, "logits", outputs).numpy()


def check_close(theirs: np.ndarray, ours: np.ndarray) -> None:
    """Assert equal logits but for rounding; the plain image processor normalises in another order of operations."""
    assert theirs.shape == ours.shape and np.abs(theirs - ours).max() <= 1e-4 * np.abs(ours).max()


def check_pipeline(plain: Any, run: Path, inputs: list[Any]) -> None:
    for each, own in zip(inputs, load_finetuned(run).predict(inputs), strict=True):
        found = plain(each, top_k=len(own.scores))
        scores = {item["label"]: item["score"] for item in found}
        assert scores == pytest.approx(own.scores, abs=1e-5)


@each_adapter
def test_peft_alone_gives_our_outputs(
    network: str, method: str, save_run: Callable[..., Path], pictures: list[Any]
) -> None:
    """The lines of the card: the base with the labels of the folder, then the adapter."""
    run = save_run(network, method)
    name = json.loads((run / "adapter_config.json").read_text())["base_model_name_or_path"]
    config = AutoConfig.from_pretrained(run)
    base = get_auto(network).from_pretrained(name, config=config, ignore_mismatched_sizes=True)
    model = peft.PeftModel.from_pretrained(base, run)
    inputs, batch = prepare(network, run, pictures)
    check_close(read_theirs(model, batch), read_ours(run, inputs))
    kind = "text" if is_text(network) else "image"
    processor = "tokenizer" if is_text(network) else "image_processor"
    auto = AutoTokenizer if is_text(network) else AutoImageProcessor
    check_pipeline(
        pipeline(f"{kind}-classification", model=model, **{processor: auto.from_pretrained(run)}), run, inputs
    )


@pytest.mark.parametrize(("network", "method"), [each for each in ADAPTERS if each[1] != "prefix"])
def test_an_adapter_that_transformers_loads_gives_our_outputs(
    network: str, method: str, save_run: Callable[..., Path], pictures: list[Any]
) -> None:
    """transformers 5.23 left bottleneck adapters as they were initialised: their names in the file were another's."""
    run = save_run(network, method)
    name = json.loads((run / "adapter_config.json").read_text())["base_model_name_or_path"]
    config = AutoConfig.from_pretrained(run)
    model = get_auto(network).from_pretrained(name, config=config, ignore_mismatched_sizes=True)
    model.load_adapter(str(run))
    inputs, batch = prepare(network, run, pictures)
    check_close(read_theirs(model, batch), read_ours(run, inputs))


@pytest.mark.parametrize("method", ["lora", "prefix", "bottleneck"])
def test_auto_classes_of_peft_need_the_number_of_labels_alone(
    method: str, save_run: Callable[..., Path], pictures: list[Any]
) -> None:
    run = save_run("bert", method)
    model = peft.AutoPeftModelForSequenceClassification.from_pretrained(run, num_labels=3)
    inputs, batch = prepare("bert", run, pictures)
    check_close(read_theirs(model, batch), read_ours(run, inputs))
    with pytest.raises(RuntimeError, match="size mismatch"):  # and never another head without a word
        peft.AutoPeftModelForSequenceClassification.from_pretrained(run)


@each_adapter
def test_no_plain_library_takes_a_folder_of_an_adapter_for_a_full_model(
    network: str, method: str, save_run: Callable[..., Path]
) -> None:
    run = str(save_run(network, method))
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        get_auto(network).from_pretrained(run)
    with pytest.raises(ValueError, match="Could not load model"):
        pipeline(f"{'text' if is_text(network) else 'image'}-classification", model=run)


@pytest.mark.parametrize("network", ["bert", "vit", "resnet", "timm"])
def test_a_full_run_needs_no_other_library(network: str, save_run: Callable[..., Path], pictures: list[Any]) -> None:
    run = save_run(network, "full")
    inputs, batch = prepare(network, run, pictures)
    expected = read_ours(run, inputs)
    check_close(read_theirs(get_auto(network).from_pretrained(run), batch), expected)
    check_pipeline(pipeline(f"{'text' if is_text(network) else 'image'}-classification", model=str(run)), run, inputs)
    if network == "timm":
        model = timm.create_model(f"local-dir:{run}", pretrained=True)
        check_close(read_theirs(model, batch), expected)


CLIENT = """
import json, sys
import hf_tune  # makes the bottleneck method known to PEFT
import timm, torch, transformers
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, pipeline
import PIL.Image

picture = PIL.Image.open(sys.argv[1])
pixels = AutoImageProcessor.from_pretrained("owner/full")(picture, return_tensors="pt")["pixel_values"]
found = {"full by timm": timm.create_model("hf-hub:owner/full", pretrained=True).eval()(pixels)}
found["full by pipeline"] = [each["score"] for each in pipeline("image-classification", model="owner/full")(picture)]
for name in ("lora", "bottleneck"):
    pixels = AutoImageProcessor.from_pretrained(f"owner/{name}")(picture, return_tensors="pt")["pixel_values"]
    config = AutoConfig.from_pretrained(f"owner/{name}")
    for key, options in (("config", {"config": config}), ("plain", {})):
        model = AutoModelForImageClassification.from_pretrained(f"owner/{name}", **options).eval()
        found[f"{name} {key}"] = model(pixels).logits
        found[f"{name} {key} labels"] = list(model.config.id2label.values())
print(json.dumps({key: value.tolist() if hasattr(value, "tolist") else value for key, value in found.items()}))
"""


@pytest.mark.slow
def test_hub_ids_of_runs_in_plain_libraries(
    save_run: Callable[..., Path],
    tiny_checkpoints: dict[str, str],
    hub_server_class: Any,
    pictures: list[Any],
    tmp_path: Path,
) -> None:
    """By its Hub id transformers 5.23 loads an adapter, with the labels of its base unless a config is given."""
    labels = tuple("abcde")  # as many as the base has
    saved = {"full": save_run("timm", "full")} | {
        name: save_run("vit", name, labels) for name in ("lora", "bottleneck")
    }
    expected = {name: read_ours(run, pictures[:1]) for name, run in saved.items()}
    runs = {name: Path(shutil.copytree(run, tmp_path / name)) for name, run in saved.items()}
    for name in ("lora", "bottleneck"):
        config = json.loads((runs[name] / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = "owner/base"
        (runs[name] / "adapter_config.json").write_text(json.dumps(config))
    repos = {("models", f"owner/{name}"): run for name, run in runs.items()}
    repos |= {("models", "owner/base"): Path(tiny_checkpoints["vit"])}
    pictures[0].save(tmp_path / "a.png")
    with hub_server_class(repos) as hub:
        command = [sys.executable, "-c", CLIENT, str(tmp_path / "a.png")]
        environment = hub.environment(tmp_path / "cache")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert np.allclose(found["full by timm"], expected["full"], atol=1e-5)
    assert found["full by pipeline"] == pytest.approx(
        sorted(torch.tensor(expected["full"][0]).softmax(0).tolist())[::-1]
    )
    for name in ("lora", "bottleneck"):
        for key, known in (("config", list(labels)), ("plain", [f"old {number}" for number in range(5)])):
            assert np.allclose(found[f"{name} {key}"], expected[name], atol=1e-5)
            assert found[f"{name} {key} labels"] == known
