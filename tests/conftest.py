"""Fixtures shared by the whole suite: tiny pictures and texts, tiny checkpoints, recipes in a temporary folder."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest


os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before huggingface_hub is imported: no test reaches the network
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with two threads each wait for each other on two cores
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="hf_tune_tests_")  # never the user's own
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("HF_TUNE_SHARED", ROOT.parent / "shared"))

TINY_RECIPE = """\
task: image_classification

model:
  pretrained_model_name_or_path: {model}

data:
  load:
    path: tiny_pictures:load

preprocess:
  image_size: 32
  crop_mode: squash

peft: full

training:
  output_dir: {output}
  per_device_train_batch_size: 8
  num_train_epochs: 1
  learning_rate: 1e-2
  seed: 0
  use_cpu: true
"""

LOADER = '''\
"""Pictures of three colours with noise: what a network learns in a few steps."""

import datasets
import numpy as np
import PIL.Image


def load(rows=24, classes=3):
    """Return train, validation and test."""
    random = np.random.default_rng(0)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "green", "blue", "grey"][:classes])}
    )

    def build(count):
        labels = [number % classes for number in range(count)]
        pictures = []
        for label in labels:
            pixels = random.integers(0, 120, (20, 24, 3))
            pixels[..., label % 3] += 120
            pictures.append(PIL.Image.fromarray(pixels.astype(np.uint8)))
        return datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=features)

    return datasets.DatasetDict({"train": build(rows), "validation": build(9), "test": build(11)})
'''

TINY_TEXT_RECIPE = """\
task: text_classification

model:
  pretrained_model_name_or_path: {model}

data:
  load:
    path: tiny_texts:load

peft: full

training:
  output_dir: {output}
  per_device_train_batch_size: 8
  num_train_epochs: 1
  learning_rate: 1e-2
  seed: 0
  use_cpu: true
"""

TEXT_LOADER = '''\
"""Texts whose every third word or so names their colour: what a network learns in a few steps."""

import datasets
import numpy as np

WORDS = {
    "red": ("rose", "brick", "cherry", "ruby"),
    "green": ("leaf", "grass", "moss", "fern"),
    "blue": ("sky", "sea", "ocean", "sapphire"),
}
FILL = ("the", "a", "old", "small", "near", "by", "is", "on")


def load(rows=24, kind="class"):
    """Return train, validation and test; `kind` of label: `class`, `set` (any of the colours) or `number`."""
    random = np.random.default_rng(0)

    def write(colours):
        words = [str(random.choice(WORDS[colour])) for colour in colours for _ in range(2)]
        words += [str(word) for word in random.choice(FILL, random.integers(1, 9))]
        return " ".join(random.permutation(words).tolist())

    def label(colours):
        if kind == "set":
            return sorted(colours)
        return colours[0] if kind == "class" else len(colours) + 0.5

    def build(count):
        if kind == "class":
            chosen = [[list(WORDS)[number % 3]] for number in range(count)]
        else:
            chosen = [list(WORDS)[: 1 + number % 3][:: 1 - 2 * (number % 2)] for number in range(count)]
        return datasets.Dataset.from_dict(
            {"text": [write(each) for each in chosen], "label": [label(each) for each in chosen]}
        )

    return datasets.DatasetDict({"train": build(rows), "validation": build(9), "test": build(11)})
'''


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data sets and checkpoints, or skip: a clone does not bring them."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real data and checkpoints are not at {SHARED}; set HF_TUNE_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def tiny_loader() -> str:
    """Return the module `tiny_pictures` of the tiny recipes."""
    return LOADER


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return folders of tiny random checkpoints with five other labels: `resnet`, `vit`, `timm` (as timm saves it)."""
    import timm
    import torch
    from transformers import (
        ConvNextImageProcessor,
        ResNetConfig,
        ResNetForImageClassification,
        ViTConfig,
        ViTForImageClassification,
        ViTImageProcessor,
    )

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    names = {number: f"old {number}" for number in range(5)}
    labels: dict[str, Any] = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **labels)
    _move_statistics(ResNetForImageClassification(resnet)).save_pretrained(folder / "resnet")
    ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0).save_pretrained(folder / "resnet")
    vit = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        **labels,
    )
    ViTForImageClassification(vit).save_pretrained(folder / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "vit")
    own = timm.create_model("test_resnet", num_classes=5)
    _move_statistics(own)
    timm.models.save_for_hf(own, folder / "timm", model_args={"num_classes": 5}, safe_serialization=True)
    return {name: str(folder / name) for name in ("resnet", "vit", "timm")}


@pytest.fixture(scope="session")
def tiny_text_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return folders of tiny random networks without a classifier: bert, distilbert, roberta, gpt2, llama, t5.

    Each has a fast tokenizer with the special tokens of its family; those of gpt2 and llama have none for padding.
    """
    import torch
    import transformers

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("text_checkpoints")
    wide = {"initializer_range": 0.25}  # with the usual 0.02 networks this small hardly look at their inputs
    bert = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, **wide}
    small = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, **wide}
    llama = {**bert, "num_key_value_heads": 1, "max_position_embeddings": 64}
    t5 = {"d_model": 16, "num_layers": 2, "num_heads": 2, "d_ff": 32, "d_kv": 8, "decoder_start_token_id": 0}
    sizes: dict[str, tuple[str, str, dict[str, Any]]] = {
        "bert": ("BertConfig", "BertModel", {**bert, "max_position_embeddings": 64}),
        "distilbert": ("DistilBertConfig", "DistilBertModel", {**small, "max_position_embeddings": 64}),
        "roberta": ("RobertaConfig", "RobertaModel", {**bert, "max_position_embeddings": 66, "type_vocab_size": 1}),
        "gpt2": ("GPT2Config", "GPT2Model", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, **wide}),
        "llama": ("LlamaConfig", "LlamaForCausalLM", llama),
        "t5": ("T5Config", "T5ForConditionalGeneration", t5),
    }
    for name, (config_class, model_class, size) in sizes.items():
        tokenizer = _train_tokenizer(name)
        tokenizer.save_pretrained(folder / name)
        special = {
            each: number
            for each in ("pad_token_id", "bos_token_id", "eos_token_id")
            if (number := getattr(tokenizer, each)) is not None
        }
        config = getattr(transformers, config_class)(vocab_size=180, **special, **size)
        getattr(transformers, model_class)(config).save_pretrained(folder / name)
    return {name: str(folder / name) for name in sizes}


def _write_files(folder: Path, text: str, replace: tuple[tuple[str, str], ...], module: str, loader: str) -> Path:
    """Write a changed recipe with its loader beside it and return its path."""
    for old, new in replace:
        assert old in text, f"{old!r} is not in the tiny recipe"
        text = text.replace(old, new)
    (folder / f"{module}.py").write_text(loader)
    (folder / "recipe.yaml").write_text(text)
    return folder / "recipe.yaml"


@pytest.fixture
def write_recipe(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a tiny recipe, with its loader beside it, and returns its path.

    `replace` pairs change the text; `model` is a checkpoint's folder or a timm name.
    """

    def write(model: str = "timm/test_resnet.r160_in1k", replace: tuple[tuple[str, str], ...] = ()) -> Path:
        text = TINY_RECIPE.format(model=model, output=tmp_path / "run")
        if model.startswith("timm/"):
            text = text.replace(model, f"{model}\n  pretrained: false")
        if model.endswith("resnet"):  # its processor always keeps the aspect ratio
            text = text.replace("\n  crop_mode: squash", "")
        return _write_files(tmp_path, text, replace, "tiny_pictures", LOADER)

    yield write
    import sys

    sys.modules.pop("tiny_pictures", None)


@pytest.fixture
def write_text_recipe(tmp_path: Path, tiny_text_checkpoints: dict[str, str]) -> Iterator[Callable[..., Path]]:
    """Return a function that writes a tiny text recipe, with its loader beside it, and returns its path.

    `replace` pairs change the text; `model` is a name of `tiny_text_checkpoints` or a folder.
    """

    def write(model: str = "bert", replace: tuple[tuple[str, str], ...] = ()) -> Path:
        text = TINY_TEXT_RECIPE.format(model=tiny_text_checkpoints.get(model, model), output=tmp_path / "run")
        return _write_files(tmp_path, text, replace, "tiny_texts", TEXT_LOADER)

    yield write
    import sys

    sys.modules.pop("tiny_texts", None)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run of two steps, shared by all tests: read it, or change a copy."""
    return _train_two_steps(tmp_path_factory.mktemp("finished"), LOADER)


@pytest.fixture(scope="session")
def run_of_50_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run like `finished_run` on more classes than probabilities are kept of."""
    loader = LOADER.replace("rows=24, classes=3", "rows=50, classes=50")
    loader = loader.replace(
        '["red", "green", "blue", "grey"][:classes]', '[f"shade {each}" for each in range(classes)]'
    )
    assert loader.count("50") == 2 and "shade" in loader
    return _train_two_steps(tmp_path_factory.mktemp("many"), loader)


@pytest.fixture(scope="session")
def save_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, str], tiny_text_checkpoints: dict[str, str]
) -> Callable[..., Path]:
    """Return a function that saves what a run on a tiny checkpoint would save, without training; a call costs 0.3 s.

    Every trainable weight, and every statistic that would move, is far from where it started. `base` is another folder
    of the same architecture.
    """
    folders = {**tiny_checkpoints, **tiny_text_checkpoints}

    def save(
        network: str,
        method: str,
        labels: tuple[str, ...] = ("red", "green", "blue"),
        problem_type: str = "single_label_classification",
        overrides: tuple[str, ...] = (),
        base: str | None = None,
    ) -> Path:
        folder = tmp_path_factory.mktemp(network)
        recipe = TINY_TEXT_RECIPE if network in tiny_text_checkpoints else TINY_RECIPE
        text = recipe.format(model=base or folders[network], output=folder / "run")
        if network == "resnet":  # its processor always keeps the aspect ratio
            text = text.replace("\n  crop_mode: squash", "")
        (folder / "recipe.yaml").write_text(text)
        for name, loader in (("tiny_texts", TEXT_LOADER), ("tiny_pictures", LOADER)):
            (folder / f"{name}.py").write_text(loader)
        _save_untrained(folder, [f"peft={method}", *overrides], labels, problem_type)
        return folder / "run"

    return save


@pytest.fixture
def build_tiny_run(
    write_text_recipe: Callable[..., Path], write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str]
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that returns recipe and Trainer of a tiny checkpoint; the words are overrides."""
    from hf_tune.adapter.attach import attach_adapter
    from hf_tune.assembly import build_trainer
    from hf_tune.data.splits import load_splits
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.tasks import get_task

    def build(name: str, *overrides: str) -> tuple[Any, Any]:
        file = write_recipe(tiny_checkpoints[name]) if name in tiny_checkpoints else write_text_recipe(name)
        recipe = load_recipe(file, ["training.num_train_epochs=3", *overrides])
        task = get_task(recipe.task)
        splits = load_splits(recipe.data, task, recipe.model.problem_type)
        loaded = task.load_model(recipe.model, recipe.preprocess, splits.label_names)
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
        return recipe, build_trainer(recipe, task, loaded, model, splits)

    return build


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute in one thread: where other programs hold the cores, two wait for each other at every small layer."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def pictures() -> list[PIL.Image.Image]:
    """Return four RGB pictures of different sizes."""
    random = np.random.default_rng(3)
    sizes = ((40, 50), (50, 40), (33, 33), (64, 20))
    return [PIL.Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def _train_two_steps(folder: Path, loader: str) -> Path:
    import sys

    import hf_tune.proof
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.run import finetune

    model = "timm/test_resnet.r160_in1k\n  pretrained: false"
    (folder / "recipe.yaml").write_text(TINY_RECIPE.format(model=model, output=folder / "run"))
    (folder / "tiny_pictures.py").write_text(loader)
    sys.modules.pop("tiny_pictures", None)
    with pytest.MonkeyPatch.context() as patch:  # the proof's child inside this process: a fresh one costs 8 s
        patch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
        finetune(load_recipe(folder / "recipe.yaml", ["training.max_steps=2"]))
    sys.modules.pop("tiny_pictures", None)
    return folder / "run"


def _save_untrained(folder: Path, overrides: list[str], labels: tuple[str, ...], problem_type: str) -> None:
    """Save the model of a recipe as a run does, with results.json as far as loading reads it."""
    import dataclasses
    import sys

    import torch

    from hf_tune.adapter.attach import attach_adapter
    from hf_tune.finished_run import _describe_base, _save
    from hf_tune.recipe.reader import load_recipe
    from hf_tune.recipe.stored import save_recipe
    from hf_tune.results import record
    from hf_tune.tasks import get_task

    recipe = load_recipe(folder / "recipe.yaml", overrides)
    task = get_task(recipe.task)
    loaded = task.load_model(dataclasses.replace(recipe.model, problem_type=problem_type), recipe.preprocess, labels)
    model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
    generator = torch.Generator().manual_seed(sum(map(ord, f"{overrides}{labels}")))
    for name, value in model.state_dict(keep_vars=True).items():
        if value.requires_grad or ("modules_to_save" in name and "running_" in name):
            change = 0.1 * torch.randn(value.shape, generator=generator)
            value.data += change.abs() if "running_var" in name else change
    save_recipe(recipe, recipe.output_dir, loaded)
    described = {"base": _describe_base(loaded), "environment": record.describe_environment("cpu", 1)}
    record.save_results(described, recipe.output_dir)
    _save(model, loaded.processor, recipe.output_dir)
    for name in ("tiny_texts", "tiny_pictures"):
        sys.modules.pop(name, None)


def _move_statistics(model: Any) -> Any:
    """Give BatchNorm values that a fresh model would not have, so that losing them is noticed."""
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, std=0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)  # timm starts the last one of each block at 0
    return model


def _train_tokenizer(family: str) -> Any:
    """Return a fast tokenizer of at most 180 tokens with the special tokens of a family of networks."""
    import re
    import string

    import tokenizers
    from transformers import PreTrainedTokenizerFast

    named, frames = {
        "bert": ("pad [PAD] unk [UNK] cls [CLS] sep [SEP] mask [MASK]", ("[CLS] $A [SEP]", " $B:1 [SEP]:1")),
        "distilbert": ("pad [PAD] unk [UNK] cls [CLS] sep [SEP] mask [MASK]", ("[CLS] $A [SEP]", " $B [SEP]")),
        "roberta": ("bos <s> pad <pad> eos </s> unk <unk>", ("<s> $A </s>", " </s> $B </s>")),
        "gpt2": ("bos <|endoftext|> eos <|endoftext|>", None),
        "llama": ("unk <unk> bos <s> eos </s>", ("<s> $A", " $B")),
        "t5": ("pad <pad> eos </s> unk <unk>", ("$A </s>", " $B </s>")),
    }[family]
    parts = named.split()
    special = {f"{name}_token": token for name, token in zip(parts[::2], parts[1::2], strict=True)}
    own = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=special.get("unk_token")))
    own.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = tokenizers.decoders.ByteLevel()
    tokens = list(dict.fromkeys(special.values()))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=180, special_tokens=tokens, initial_alphabet=list(string.printable[:94]), show_progress=False
    )
    words = re.findall('"([a-z]+)"', TEXT_LOADER)
    own.train_from_iterator([" ".join(words), " ".join(reversed(words))], trainer)
    if frames:
        own.post_processor = tokenizers.processors.TemplateProcessing(
            single=frames[0],
            pair=frames[0] + frames[1],
            special_tokens=[(each, own.token_to_id(each)) for each in tokens],
        )
    inputs = ["input_ids", "attention_mask"]
    inputs[1:1] = ["token_type_ids"] if family == "bert" else []
    return PreTrainedTokenizerFast(tokenizer_object=own, model_input_names=inputs, **special)


def _load_beside(name: str) -> Any:
    """Import a module that lies beside this file, which is no package, under its own name."""
    import importlib.util
    import sys

    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def hub_server_class() -> Any:
    """Return `HubServer`, which runs apart from the clients of this process; they use the fixture `hub`."""
    for name in ("hub_store", "hub_exchange", "hub_faults", "hub_reads", "hub_writes"):
        _load_beside(name)
    return _load_beside("hub_server").HubServer


@pytest.fixture
def hub(hub_server_class: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Serve an empty Hub that the clients of this process talk to as alice, with empty caches."""
    client = _load_beside("hub_client")
    with hub_server_class({}) as server:
        client.point_clients_at(server, monkeypatch, tmp_path_factory.mktemp("hub_client"))
        yield server
        client.forget_connections()


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., bytes]:
    """Return a function that writes pixels as a DICOM file of 12 bits in 16, MONOCHROME2, and returns its bytes.

    Keywords are other elements of the file; None takes one out.
    """
    import io

    pydicom = pytest.importorskip("pydicom")

    def write(pixels: Any, **elements: Any) -> bytes:
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        height, width = pixels.shape[:2] if pixels.ndim == 2 or "SamplesPerPixel" in elements else pixels.shape[1:]
        standard = {"Rows": height, "Columns": width, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
        standard |= {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
        chosen = {**standard, **elements}
        sign = "i" if chosen["PixelRepresentation"] else "u"
        content = pixels.astype(f"<{sign}{chosen['BitsAllocated'] // 8}").tobytes()
        for name, value in {"PixelData": content + b"\0" * (len(content) % 2), **chosen}.items():
            if value is not None:
                setattr(data, name, value)
        if "PixelData" in data:
            data["PixelData"].VR = "OW" if chosen["BitsAllocated"] == 16 else "OB"
        stream = io.BytesIO()
        data.save_as(stream, enforce_file_format=True)
        return stream.getvalue()

    return write
