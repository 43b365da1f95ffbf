"""Image classification: one picture, one of several classes.

Columns: `image` (a picture, encoded or as a path) and `label` (a ClassLabel, words or whole numbers).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hf_tune.data.augmentation import AUGMENTATIONS, augment_pictures
from hf_tune.data.images import read_image
from hf_tune.model.checkpoint import load_image_classifier, load_processor, outline_image_classifier
from hf_tune.model.image_processor import PictureOptions, PictureProcessor
from hf_tune.results import plots
from hf_tune.results.classification_metrics import METRIC_NAMES, score_classes, score_each_class, score_majority
from hf_tune.task import Batch, Example, Kept, Scored, Task


@dataclass(frozen=True, kw_only=True)
class Preprocess(PictureOptions):
    """The `preprocess:` block."""

    augment: list[Any] = field(default_factory=list, metadata={"options": AUGMENTATIONS})
    """Changes of the training pictures, in this order: a name, or `{name: {option: value}}`."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What `predict` returns for one picture."""

    label: str
    score: float
    """Probability of the label."""
    scores: Mapping[str, float]
    """Probability of every label."""


def check_example(example: Example) -> None:
    """Raise `InputError` where the picture cannot be decoded."""
    read_image(example["image"])


def encode(example: Example, processor: PictureProcessor) -> Example:
    """Return `pixel_values` (uint8, 3 x height x width) and, where there is a label, `labels` (int64)."""
    encoded = {"pixel_values": processor.encode(read_image(example["image"]))}
    if "label" in example:
        encoded["labels"] = torch.tensor(example["label"])
    return encoded


def collate(examples: Sequence[Example]) -> Batch:
    """Return the examples stacked: `pixel_values` uint8, shape (rows, 3, height, width)."""
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


def augment(batch: Batch, preprocess: Preprocess, draws: Any) -> Batch:
    """Return the batch with its pictures augmented."""
    return {**batch, "pixel_values": augment_pictures(batch["pixel_values"], preprocess.augment, draws)}


def to_inputs(batch: Batch, processor: PictureProcessor) -> Batch:
    """Return normalised `pixel_values`, float32."""
    return {"pixel_values": processor.normalise(batch["pixel_values"])}


def loss(outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
    """Return the cross-entropy of each row in nats."""
    return F.cross_entropy(outputs.logits.float(), batch["labels"], reduction="none", label_smoothing=label_smoothing)


def keep_per_row(outputs: Any, batch: Batch) -> Batch:
    """Return `log_probabilities`, float32, shape (rows, classes)."""
    return {"log_probabilities": outputs.logits.float().log_softmax(dim=1)}


def row_scores(outputs: Any, batch: Batch) -> Batch:
    """Return 1 for each row that is classified rightly, else 0."""
    return {"accuracy": (outputs.logits.argmax(dim=1) == batch["labels"]).float()}


def decode(kept: Kept, label_names: Sequence[str]) -> list[Prediction]:
    """Return one `Prediction` per row."""
    probabilities = np.exp(kept["log_probabilities"].astype(np.float64))
    return [
        Prediction(
            label=label_names[int(row.argmax())],
            score=float(row.max()),
            scores=dict(zip(label_names, row.tolist(), strict=True)),
        )
        for row in probabilities
    ]


def prediction_columns(kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return label, prediction and score by name, and the probabilities of all classes in their order."""
    predictions = decode(kept, label_names)
    return {
        "label": [label_names[number] for number in kept["labels"]],
        "prediction": [each.label for each in predictions],
        "score": [each.score for each in predictions],
        "probabilities": np.exp(kept["log_probabilities"]),
    }


def feature_cut(model: Any, num_labels: int) -> str:
    """Return the last layer with one output per label: its input is the pooled feature vector."""
    sizes = ((name, getattr(layer, "out_features", None)) for name, layer in model.named_modules())
    return [name for name, size in sizes if size == num_labels][-1]


def input_statistics(example: Example) -> Mapping[str, float]:
    """Return width and height in pixels, and brightness from 0 to 1."""
    picture = read_image(example["image"])
    return {
        "width": float(picture.width),
        "height": float(picture.height),
        "brightness": float(np.asarray(picture.convert("L")).mean() / 255),
    }


def read_input(source: Any) -> Example:
    """Return the raw example of a path, encoded bytes or a PIL picture."""
    return {"image": source}


def details(kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return the scores of each class and the confusion matrix (true by predicted)."""
    return {
        "classes": score_each_class(kept, label_names),
        "confusion_matrix": _confusion(kept, len(label_names)).tolist(),
    }


def draw_plots(scored: Scored, folder: Path) -> list[str]:
    """Draw curves, confusion matrix and the most confident mistakes."""
    confusion = _confusion(scored.kept, len(scored.label_names))
    drawn = {
        "curves.png": plots.plot_curves(scored.history, "accuracy", folder / "curves.png"),
        "confusion.png": plots.plot_confusion(confusion, scored.label_names, folder / "confusion.png"),
        "mistakes.png": _draw_mistakes(scored, folder / "mistakes.png"),
    }
    return [name for name, there in drawn.items() if there]


def card_section(results: Mapping[str, Any]) -> str:
    """Return a table of the scores of each class."""
    lines = ["| class | precision | recall | F1 | rows |", "|---|---|---|---|---|"]
    for row in results["details"]["classes"]:
        name = str(row["label"]).replace("|", "\\|")
        lines.append(f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['rows']} |")
    return "\n".join(lines)


def _confusion(kept: Kept, num_labels: int) -> np.ndarray:
    confusion = np.zeros((num_labels, num_labels), dtype=np.int64)
    np.add.at(confusion, (kept["labels"], kept["log_probabilities"].argmax(1)), 1)
    return confusion


def _draw_mistakes(scored: Scored, file: Path) -> bool:
    kept, names = scored.kept, scored.label_names
    rows = plots.find_confident_mistakes(kept["log_probabilities"], kept["labels"])
    predictions = decode({"log_probabilities": kept["log_probabilities"][rows]}, names)
    titles = [
        f"row {row}: {names[kept['labels'][row]]}\nas {each.label} ({each.score:.2f})"
        for row, each in zip(rows, predictions, strict=True)
    ]
    return plots.plot_pictures([read_image(scored.split[int(row)]["image"]) for row in rows], titles, file)


TASK = Task(
    columns={"image": "a picture, encoded or as a path", "label": "its class: a ClassLabel, words or whole numbers"},
    preprocess=Preprocess,
    load_model=load_image_classifier,
    outline_model=outline_image_classifier,
    load_processor=load_processor,
    check_example=check_example,
    encode=encode,
    collate=collate,
    augment=augment,
    to_inputs=to_inputs,
    loss=loss,
    keep_per_row=keep_per_row,
    row_scores=row_scores,
    metric_names=METRIC_NAMES,
    metrics=score_classes,
    baseline=score_majority,
    decode=decode,
    prediction_columns=prediction_columns,
    feature_cut=feature_cut,
    input_statistics=input_statistics,
    read_input=read_input,
    details=details,
    plots=draw_plots,
    card_section=card_section,
    pipeline_tag="image-classification",
    auto_model="AutoModelForImageClassification",
    input_patterns=("*.png", "*.jpg", "*.jpeg", "*.webp", "*.bmp", "*.tif", "*.tiff", "*.gif"),
)
