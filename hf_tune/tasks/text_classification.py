"""Text classification: a text or a pair of texts, and one of several classes, any number of labels, or a number.

Columns: `text` (a string, or the turns of a dialogue), `text_pair` (optional), `label` (a ClassLabel, words or whole
numbers: one class; a list of them: any number of labels; numbers with a fraction: regression).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from hf_tune.data.first_columns import choose_label, choose_metric, choose_texts
from hf_tune.data.texts import read_text
from hf_tune.input_error import InputError
from hf_tune.model.first_texts import choose_max_length, choose_text_checkpoint, choose_text_method
from hf_tune.model.new_layers import find_head
from hf_tune.model.text_checkpoint import load_text_classifier, load_text_processor, outline_text_classifier
from hf_tune.model.text_processor import MIN_LENGTH, TextOptions, TextProcessor, find_position_limit
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
from hf_tune.results.label_metrics import (
    MULTI_LABEL_NAMES,
    REGRESSION_NAMES,
    guess_label_sets,
    guess_mean,
    score_each_label,
    score_label_sets,
    score_numbers,
)
from hf_tune.results.predictions import decode_kept, tabulate_kept
from hf_tune.results.two_class_plots import plot_two_classes
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Batch, Example, Kept, Score, Scored, Suggestion, Task


@dataclass(frozen=True, kw_only=True)
class Preprocess(TextOptions):
    """The `preprocess:` block."""


def check_example(example: Example, processor: Any) -> None:
    """Raise `InputError` where a text is missing or empty."""
    for role in ("text", "text_pair"):
        if role in example:
            read_text(example[role], role)


def encode_rows(examples: Sequence[Example], processor: TextProcessor) -> Mapping[str, Sequence[Any]]:
    """Return `input_ids` and, where the checkpoint has them, `token_type_ids`; `num_tokens` is the length uncut."""
    roles = [role for role in ("text", "text_pair") if role in examples[0]]
    return processor.encode_rows([{role: read_text(example[role], role) for role in roles} for example in examples])


def encode(example: Example, processor: TextProcessor) -> Example:
    """Return the token numbers of one row and, where there is a label, `labels` (int64, else float32)."""
    columns = encode_rows([example], processor)
    encoded: dict[str, Any] = {name: rows[0] for name, rows in columns.items() if isinstance(rows[0], list)}
    if "label" in example:
        encoded["labels"] = torch.tensor(example["label"])
    return encoded


def describe_encoded(encoded: Any, model: Any) -> list[str]:
    """Say how many rows were cut; raises `InputError` where a prompt before the text leaves too few positions."""
    name = encoded.split.name
    _check_positions(encoded, model)
    cut = int((encoded.facts["num_tokens"] > encoded.lengths).sum())
    if not cut:
        return []
    longest, limit = int(encoded.facts["num_tokens"].max()), int(encoded.lengths.max())
    return [f"{cut} of {len(encoded)} {name} rows exceed {limit} tokens and were cut; the longest has {longest}."]


def _check_positions(encoded: Any, model: Any) -> None:
    config = getattr(model, "active_peft_config", None)
    virtual, limit = getattr(config, "num_virtual_tokens", 0), find_position_limit(model.config.to_dict())
    row = int(encoded.lengths.argmax())
    if limit is not None and encoded.lengths[row] + virtual > limit:
        problem = f"{encoded.split.name_row(row)} has {encoded.lengths[row]} tokens, and with"
        problem += f" {virtual} virtual ones before them the model takes {limit}"
        cure = f"write `max_length: {limit - virtual}`" if limit - virtual >= MIN_LENGTH else "give it fewer of them"
        raise InputError(problem, cure, at=("preprocess", "max_length"))


def collate(examples: Sequence[Example], processor: TextProcessor) -> Batch:
    """Return the examples padded on the right to the longest of the batch."""
    rest = [name for name in ("labels", "row", "epoch") if name in examples[0]]
    return {**processor.pad(examples), **{name: torch.stack([each[name] for each in examples]) for name in rest}}


def augment(batch: Batch, preprocess: Preprocess, draws: Any) -> Batch:
    """Return the batch as it is."""
    return batch


def to_inputs(batch: Batch, processor: TextProcessor) -> Batch:
    """Return the tokens and their mask."""
    return {name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask") if name in batch}


def loss(outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
    """Return the loss of each row: cross-entropy in nats, its mean over labels, or the squared error."""
    logits, labels = outputs.logits.float(), batch["labels"]
    if labels.dtype == torch.int64:
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    if labels.ndim == 2:
        smooth = labels * (1 - label_smoothing) + label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(1)
    return (logits[:, 0] - labels) ** 2


def keep_per_row(outputs: Any, batch: Batch, problem_type: str) -> Batch:
    """Return what `keep_classes` says, or `values`, shape (rows,), or `log_odds`, shape (rows, labels); float32.

    Average precision ranks the rows by every label: of any number of labels nothing less than all log-odds will do.
    """
    if problem_type == SINGLE_LABEL:
        return keep_classes(outputs.logits, batch.get("labels"))
    logits = outputs.logits.float()
    return {"log_odds": logits} if problem_type == MULTI_LABEL else {"values": logits[:, 0]}


def row_scores(outputs: Any, batch: Batch) -> Batch:
    """Return 1 for each row that is classified rightly, else 0; for numbers the absolute error."""
    logits, labels = outputs.logits, batch["labels"]
    if labels.dtype == torch.int64:
        return {"accuracy": (logits.argmax(dim=1) == labels).float()}
    if labels.ndim == 2:
        return {"subset_accuracy": ((logits >= 0) == (labels > 0)).all(1).float()}
    return {"mae": (logits[:, 0].float() - labels).abs()}


def metrics(kept: Kept, label_names: Sequence[str]) -> Mapping[str, Score]:
    """Return every score of this kind of label, with its interval."""
    if "values" in kept:
        return score_numbers(kept)
    return score_label_sets(kept) if "log_odds" in kept else score_classes(kept, label_names)


def baseline(train: Kept, kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return what the commonest class, the commonest labels or the mean of train scores."""
    if "values" in kept:
        return guess_mean(train, kept)
    if "log_odds" in kept:
        return guess_label_sets(train, kept, label_names)
    return score_majority(train, kept, label_names)


def input_statistics(example: Example, processor: Any) -> Mapping[str, float]:
    """Return the numbers of characters and words."""
    text = " ".join(read_text(example[role], role) for role in ("text", "text_pair") if role in example)
    return {"characters": float(len(text)), "words": float(len(text.split()))}


def read_input(source: Any) -> Example:
    """Return the raw example of a text, or of a pair of texts."""
    if isinstance(source, (tuple, list)) and len(source) == 2:
        return {"text": source[0], "text_pair": source[1]}
    return {"text": source}


def details(kept: Kept, label_names: Sequence[str]) -> Mapping[str, Any]:
    """Return the scores of each class or label, and the confusion matrix of classes (true by predicted)."""
    if "values" in kept:
        return {"label_mean": float(kept["labels"].mean()), "label_std": float(kept["labels"].std())}
    if "log_odds" in kept:
        return {"classes": score_each_label(kept, label_names)}
    confusion = count_confusion(kept, len(label_names)).tolist()
    return {"classes": score_each_class(kept, label_names), "confusion_matrix": confusion}


def draw_plots(scored: Scored, folder: Path) -> list[str]:
    """Draw the curves and, of classes, the confusion matrix; of numbers, predicted over true ones."""
    kept = scored.kept
    drawn = {"curves.png": plots.plot_curves(scored.history, _curve(kept), folder / "curves.png")}
    if "values" in kept:
        drawn["scatter.png"] = plots.plot_scatter(kept["labels"], kept["values"], folder / "scatter.png")
    elif "top_labels" in kept:
        confusion = count_confusion(kept, len(scored.label_names))
        drawn["confusion.png"] = plots.plot_confusion(confusion, scored.label_names, folder / "confusion.png")
        drawn["two_classes.png"] = plot_two_classes(kept, scored.label_names, folder / "two_classes.png")
        drawn["confusions.png"] = plots.plot_confused_pairs(confusion, scored.label_names, folder / "confusions.png")
    return [name for name, there in drawn.items() if there]


def card_section(results: Mapping[str, Any]) -> str:
    """Return a table of the scores of each class or label; of numbers, their spread."""
    found = results["details"]
    if "classes" in found:
        return format_classes(found["classes"])
    return f"The true values have mean {found['label_mean']:.3f} and standard deviation {found['label_std']:.3f}."


def suggest(survey: Any, has_gpu: bool) -> Suggestion | None:
    """Return what a first recipe would be; None without a text and a label."""
    texts, label = choose_texts(survey), choose_label(survey, ("classes", "label lists", "numbers"))
    if not texts or label is None or any("picture" in each.kinds for each in survey.columns):
        return None
    rows, columns = survey.rows[survey.train], [column for column, _ in texts.values()]
    return Suggestion(
        columns={**{role: choice for role, (_, choice) in texts.items()}, "label": label[1]},
        checkpoint=choose_text_checkpoint(min(each.latin for each in columns), has_gpu),
        preprocess=choose_max_length(sum(each.characters for each in columns)),
        method=choose_text_method(rows, has_gpu),
        metric=choose_metric(label[0], label[2]),
        most_rows=64 if has_gpu else 32,
    )


def _curve(kept: Kept) -> str:
    return "mae" if "values" in kept else "subset_accuracy" if "log_odds" in kept else "accuracy"


TASK = Task(
    columns={
        "text": "a text, or the turns of a dialogue as a list",
        "text_pair": "a second text; optional",
        "label": "its class, a list of labels, or a number",
    },
    optional_columns=("text_pair",),
    preprocess=Preprocess,
    load_model=load_text_classifier,
    outline_model=outline_text_classifier,
    load_processor=load_text_processor,
    check_example=check_example,
    encode=encode,
    encode_rows=encode_rows,
    describe_encoded=describe_encoded,
    collate=collate,
    augment=augment,
    to_inputs=to_inputs,
    loss=loss,
    keep_per_row=keep_per_row,
    row_scores=row_scores,
    metric_names={SINGLE_LABEL: METRIC_NAMES, MULTI_LABEL: MULTI_LABEL_NAMES, REGRESSION: REGRESSION_NAMES},
    metrics=metrics,
    baseline=baseline,
    decode=decode_kept,
    prediction_columns=tabulate_kept,
    feature_cut=find_head,
    input_statistics=input_statistics,
    read_input=read_input,
    details=details,
    plots=draw_plots,
    card_section=card_section,
    pipeline_tag="text-classification",
    auto_model="AutoModelForSequenceClassification",
    auto_processor="AutoTokenizer",
    sample='"a text"',
    peft_task_type="SEQ_CLS",
    suggest=suggest,
    training_arguments={"train_sampling_strategy": "group_by_length"},
)
