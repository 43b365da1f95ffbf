"""Image classification: one picture, one of several classes.

Columns: `image` (a picture, encoded or as a path) and `label` (a ClassLabel, words or whole numbers).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hf_tune.data.augmentation import AUGMENTATIONS, augment_pictures
from hf_tune.data.first_columns import choose_label, choose_metric, choose_picture
from hf_tune.data.frames import count_frames, find_multi_frame
from hf_tune.data.images import read_image
from hf_tune.data.mixing import CutMix, Mixing, Mixup, build_mixing
from hf_tune.data.picture_kinds import READ_ENDINGS
from hf_tune.input_error import InputError
from hf_tune.model.first_pictures import (
    choose_augmentation,
    choose_image_size,
    choose_picture_checkpoint,
    choose_picture_method,
)
from hf_tune.model.image_processor import PictureOptions, PictureProcessor
from hf_tune.model.new_layers import find_head
from hf_tune.model.picture_checkpoint import load_image_classifier, load_image_processor, outline_image_classifier
from hf_tune.results import plots
from hf_tune.results.classification_metrics import (
    METRIC_NAMES,
    count_confusion,
    format_classes,
    score_classes,
    score_each_class,
    score_majority,
)
from hf_tune.results.kept_classes import keep_classes
from hf_tune.results.predictions import decode_kept, tabulate_kept
from hf_tune.results.two_class_plots import plot_two_classes
from hf_tune.task import SINGLE_LABEL, Batch, Example, Kept, Scored, Suggestion, Task


logger = logging.getLogger(__name__)

LEARNING_RATES = MappingProxyType({"probe": (3e-3, 3e-3)})
"""Measured with MobileNetV2 on four sets of pictures; the README has the table."""


@dataclass(frozen=True, kw_only=True)
class Preprocess(PictureOptions):
    """The `preprocess:` block."""

    augment: list[Any] = field(default_factory=list, metadata={"options": AUGMENTATIONS})
    """Changes of the training pictures, in this order: a name, or `{name: {option: value}}`."""
    mixup: Mixup | None = None
    """Add each training picture to another one, after `augment`; with `cutmix` too each row takes one of the two."""
    cutmix: CutMix | None = None
    """Put a box of another training picture into each one."""


def check_example(example: Example, processor: PictureProcessor) -> None:
    """Raise `InputError` where the picture cannot be decoded."""
    read_image(example["image"], processor.intensity)


def encode(example: Example, processor: PictureProcessor) -> Example:
    """Return `pixel_values` (uint8, 3 x height x width) and, where there is a label, `labels` (int64)."""
    encoded = {"pixel_values": processor.encode(read_image(example["image"], processor.intensity))}
    if "label" in example:
        encoded["labels"] = torch.tensor(example["label"])
    return encoded


def collate(examples: Sequence[Example], processor: PictureProcessor) -> Batch:
    """Return the examples stacked: `pixel_values` uint8, shape (rows, 3, height, width)."""
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


def augment(batch: Batch, preprocess: Preprocess, draws: Any) -> Batch:
    """Return the batch with its pictures augmented."""
    return {**batch, "pixel_values": augment_pictures(batch["pixel_values"], preprocess.augment, draws)}


def mixing(preprocess: Preprocess) -> Mixing | None:
    """Return how training pictures are mixed with others; None where they are not."""
    return build_mixing(preprocess.mixup, preprocess.cutmix)


def to_inputs(batch: Batch, processor: PictureProcessor) -> Batch:
    """Return normalised `pixel_values`, float32."""
    return {"pixel_values": processor.normalise(batch["pixel_values"])}


def to_pictures(batch: Batch) -> Sequence[np.ndarray]:
    """Return the pixels of each row as people look at them: uint8, shape (height, width, 3)."""
    return list(batch["pixel_values"].permute(0, 2, 3, 1).numpy())


def loss(outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
    """Return the cross-entropy of each row in nats."""
    return F.cross_entropy(outputs.logits.float(), batch["labels"], reduction="none", label_smoothing=label_smoothing)


def keep_per_row(outputs: Any, batch: Batch, problem_type: str) -> Batch:
    """Return the most probable classes of each row, and what `keep_classes` says beyond them."""
    return keep_classes(outputs.logits, batch.get("labels"))


def row_scores(outputs: Any, batch: Batch) -> Batch:
    """Return 1 for each row that is classified rightly, else 0."""
    return {"accuracy": (outputs.logits.argmax(dim=1) == batch["labels"]).float()}


def input_statistics(example: Example, processor: PictureProcessor) -> Mapping[str, float]:
    """Return width and height in pixels, and brightness from 0 to 1."""
    picture = read_image(example["image"], processor.intensity)
    return {
        "width": float(picture.width),
        "height": float(picture.height),
        "brightness": float(np.asarray(picture.convert("L")).mean() / 255),
    }


def describe_encoded(encoded: Any, model: Any) -> list[str]:
    """Return a note where pictures hold more than what is read of them."""
    split = encoded.split
    rows = find_multi_frame(split.rows, "image")
    if not rows:
        return []
    which = f"{len(rows)} of {len(split)} pictures of the {split.name} split hold several frames or pages"
    return [f"{which}, the first of them in {split.name_row(rows[0])}: of each the first frame is read."]


def read_input(source: Any) -> Example:
    """Return the raw example of a path, encoded bytes or a PIL picture."""
    frames = count_frames(source)
    if frames > 1:
        name = source if isinstance(source, (str, Path)) else "a picture"
        logger.warning("%s holds %d frames or pages: the first one is read", name, frames)
    return {"image": source}


def details(kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return the scores of each class and the confusion matrix (true by predicted)."""
    return {
        "classes": score_each_class(kept, label_names),
        "confusion_matrix": count_confusion(kept, len(label_names)).tolist(),
    }


def draw_plots(scored: Scored, folder: Path) -> list[str]:
    """Draw curves, confusion matrix and the most confident mistakes."""
    confusion = count_confusion(scored.kept, len(scored.label_names))
    drawn = {
        "curves.png": plots.plot_curves(scored.history, "accuracy", folder / "curves.png"),
        "confusion.png": plots.plot_confusion(confusion, scored.label_names, folder / "confusion.png"),
        "two_classes.png": plot_two_classes(scored.kept, scored.label_names, folder / "two_classes.png"),
        "mistakes.png": _draw_mistakes(scored, folder / "mistakes.png"),
    }
    return [name for name, there in drawn.items() if there]


def card_section(results: Mapping[str, Any]) -> str:
    """Return a table of the scores of each class."""
    return format_classes(results["details"]["classes"])


def suggest(survey: Any, has_gpu: bool) -> Suggestion | None:
    """Return what a first recipe would be; None without pictures and classes."""
    picture, label = choose_picture(survey), choose_label(survey, ("classes",))
    if picture is None or label is None:
        return None
    rows, side = survey.rows[survey.train], survey.picture_sides.get(picture[0].name)
    method = choose_picture_method(rows, label[0].counts, has_gpu)
    return Suggestion(
        columns={"image": picture[1], "label": label[1]},
        checkpoint=choose_picture_checkpoint(has_gpu),
        preprocess=choose_image_size(side, rows, has_gpu) | choose_augmentation(method.value),
        method=method,
        metric=choose_metric(label[0], SINGLE_LABEL),
        most_rows=128 if has_gpu else 64,
    )


def _draw_mistakes(scored: Scored, file: Path) -> bool:
    kept, names = scored.kept, scored.label_names
    rows = plots.find_confident_mistakes(kept)
    predictions = decode_kept({name: values[rows] for name, values in kept.items()}, names)
    titles = [
        f"row {row}: {names[kept['labels'][row]]}\nas {each.label} ({each.score:.2f})"
        for row, each in zip(rows, predictions, strict=True)
    ]
    return plots.plot_pictures([_read_shown(scored.split[int(row)]["image"]) for row in rows], titles, file)


def _read_shown(source: Any) -> Any:
    """Return a picture for a person to look at: where nothing says its range, by its own contrast."""
    try:
        return read_image(source)
    except InputError:
        return read_image(source, "file")


TASK = Task(
    columns={"image": "a picture, encoded or as a path", "label": "its class: a ClassLabel, words or whole numbers"},
    preprocess=Preprocess,
    load_model=load_image_classifier,
    outline_model=outline_image_classifier,
    load_processor=load_image_processor,
    check_example=check_example,
    encode=encode,
    describe_encoded=describe_encoded,
    collate=collate,
    augment=augment,
    mixing=mixing,
    to_pictures=to_pictures,
    to_inputs=to_inputs,
    loss=loss,
    keep_per_row=keep_per_row,
    row_scores=row_scores,
    metric_names={SINGLE_LABEL: METRIC_NAMES},
    metrics=score_classes,
    baseline=score_majority,
    decode=decode_kept,
    prediction_columns=tabulate_kept,
    feature_cut=find_head,
    input_statistics=input_statistics,
    read_input=read_input,
    details=details,
    plots=draw_plots,
    example_plots=("mistakes.png",),
    card_section=card_section,
    pipeline_tag="image-classification",
    auto_model="AutoModelForImageClassification",
    auto_processor="AutoImageProcessor",
    sample='"some.png"',
    file_columns=("image",),
    suggest=suggest,
    learning_rates=LEARNING_RATES,
    input_patterns=tuple(f"*{ending}" for ending in READ_ENDINGS),
)
