"""Data and checkpoints of the benchmark: the real ones of ../shared where they are, else made here, of the same kind.

The pictures that are made are smooth noise as JPEG files, as costly to decode as photographs of their size.
"""

import io
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.job import Job


SHARED = Path(os.environ.get("HF_TUNE_SHARED", Path(__file__).parents[3] / "shared"))
MODELS = ("all-MiniLM-L6-v2", "mobilenet_v1_0.25_128", "timm_mobilenetv2_100", "resnet18", "vit_small")
"""The last two are never real: random weights, for there is no pretrained one."""
LIBRARIES = ("torch", "torchvision", "transformers", "datasets", "peft", "accelerate", "timm", "hf_tune")
WORDS = "card account money transfer top up lost stolen fee charge exchange rate when why how does my the a is not"


def prepare(job: Job) -> dict[str, Any]:
    """Find or make everything and write material.json; the quick form never uses what is real."""
    sets = {"cifar10": _make_small_pictures, "ants_bees": _make_photographs, "banking77": _make_texts}
    material: dict[str, Any] = {}
    for name, make in sets.items():
        shared = SHARED / "data" / name
        is_real = shared.is_dir() and not job.small
        path = shared if is_real else job.work / "made" / name
        if not is_real:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            make(path, job)
        material[name] = {"path": str(path.resolve()), "real": is_real}
    for name in MODELS:
        shared = SHARED / "models" / name
        is_real = shared.is_dir() and not job.small
        path = shared if is_real else job.work / "made" / name
        if not is_real:
            _make_model(name, path, job)
        material[name] = {"path": str(path.resolve()), "real": is_real}
    folder = _write_jpeg_folder(Path(material["ants_bees"]["path"]), job.work / "jpegs")
    material["jpegs"] = {"path": str(folder.resolve()), "real": material["ants_bees"]["real"]}
    (job.work / "material.json").write_text(json.dumps(material))
    return {"real": {name: each["real"] for name, each in material.items()}, **describe_machine()}


def describe_machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, GPU, versions."""
    import importlib.metadata

    import torch

    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "cpu": found.group(1) if found else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _write_jpeg_folder(parquet: Path, folder: Path) -> Path:
    """Write the files of a parquet data set as FOLDER/SPLIT/CLASS/NUMBER.jpg, as torchvision and timm read them."""
    import datasets

    shutil.rmtree(folder, ignore_errors=True)
    for split, rows in datasets.load_dataset(str(parquet)).items():
        names = rows.features["label"].names
        for number, row in enumerate(rows.cast_column("image", datasets.Image(decode=False))):
            file = folder / str(split) / names[row["label"]] / f"{number:05}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(row["image"]["bytes"])
    return folder


def _make_small_pictures(folder: Path, job: Job) -> None:
    rows = {"train": job.choose(9000, 640), "validation": job.choose(1000, 64), "test": job.choose(10000, 640)}
    _save_pictures(folder, rows, (32, 32), [f"class {number}" for number in range(10)])


def _make_photographs(folder: Path, job: Job) -> None:
    rows = {"train": job.choose(204, 24), "validation": job.choose(40, 8), "test": job.choose(153, 16)}
    _save_pictures(folder, rows, job.choose((480, 360), (96, 80)), ["ants", "bees"])


def _save_pictures(folder: Path, rows: Mapping[str, int], size: tuple[int, int], names: list[str]) -> None:
    import datasets
    import numpy as np
    import PIL.Image

    random = np.random.default_rng(0)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    for split, count in rows.items():
        labels = [number % len(names) for number in range(count)]
        files = []
        for label in labels:
            coarse = random.integers(0, 200, (8, 8, 3)) + 50 * label / len(names)
            picture = PIL.Image.fromarray(coarse.astype(np.uint8)).resize(size, PIL.Image.Resampling.BICUBIC)
            noisy = np.asarray(picture) + random.normal(0, 12, (size[1], size[0], 3))
            stream = io.BytesIO()
            PIL.Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
            files.append({"bytes": stream.getvalue(), "path": None})
        datasets.Dataset.from_dict({"image": files, "label": labels}, features=features).to_parquet(
            folder / f"{split}.parquet"
        )


def _make_texts(folder: Path, job: Job) -> None:
    """Write texts with about the lengths of banking77: 5 to 60 words, most of them short."""
    import datasets
    import numpy as np

    random = np.random.default_rng(0)
    classes = job.choose(77, 5)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(num_classes=classes)})
    rows = {"train": job.choose(9005, 160), "validation": job.choose(998, 20), "test": job.choose(3080, 40)}
    for split, count in rows.items():
        lengths = np.clip(random.lognormal(2.3, 0.5, count), 5, 60).astype(int)
        texts = [f"{number} {' '.join(random.choice(WORDS.split(), length))}" for number, length in enumerate(lengths)]
        table = {"text": [f"{split} {text}" for text in texts], "label": [number % classes for number in range(count)]}
        datasets.Dataset.from_dict(table, features=features).to_parquet(folder / f"{split}.parquet")


def _make_model(name: str, folder: Path, job: Job) -> None:
    """Save a network of the architecture of a checkpoint with random weights, with its processor."""
    import timm
    import torch
    import transformers

    torch.manual_seed(0)
    shutil.rmtree(folder, ignore_errors=True)
    if name == "all-MiniLM-L6-v2":
        tokenizer = _train_tokenizer()
        width, layers = job.choose((384, 6), (32, 2))
        size = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": width // 32}
        vocabulary = job.choose(30522, 200)
        config = transformers.BertConfig(vocab_size=vocabulary, intermediate_size=4 * width, **size)
        transformers.BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    elif name == "mobilenet_v1_0.25_128":
        side = job.choose(128, 64)
        config = transformers.MobileNetV1Config(depth_multiplier=0.25, image_size=side)
        transformers.MobileNetV1ForImageClassification(config).save_pretrained(folder)
        edge = {"shortest_edge": side * 256 // 224}
        crop = {"height": side, "width": side}
        transformers.MobileNetV1ImageProcessor(size=edge, crop_size=crop).save_pretrained(folder)
    else:
        names = {"resnet18": "resnet18", "vit_small": "vit_small_patch16_224"}
        quick = "test_vit" if name == "vit_small" else "test_resnet"
        own = timm.create_model(job.choose(names.get(name, "mobilenetv2_100"), quick), num_classes=10)
        timm.models.save_for_hf(own, folder, model_args={"num_classes": 10}, safe_serialization=True)


def _train_tokenizer() -> Any:
    import tokenizers
    import transformers

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    own = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=list(special.values()), show_progress=False
    )
    own.train_from_iterator([WORDS, "train validation test 0 1 2 3 4 5 6 7 8 9"], trainer)
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(each, own.token_to_id(each)) for each in ("[CLS]", "[SEP]")],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, model_input_names=names, model_max_length=512, **special
    )
