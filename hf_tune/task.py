"""What a file in `tasks/` provides: one frozen dataclass of plain functions.

A member that is missing fails when the task is imported; a wrong signature fails in the type checker.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch


Example: TypeAlias = Mapping[str, Any]
"""One raw row: role → value."""
Batch: TypeAlias = dict[str, torch.Tensor]
"""Tensors whose first axis is the row."""
Kept: TypeAlias = Mapping[str, np.ndarray]
"""What evaluation keeps of every row of a split, in data-set order."""


ProblemType: TypeAlias = Literal["single_label_classification", "multi_label_classification", "regression"]
"""What a label is, in transformers' words (`config.problem_type`)."""
SINGLE_LABEL: ProblemType = "single_label_classification"
MULTI_LABEL: ProblemType = "multi_label_classification"
REGRESSION: ProblemType = "regression"


def is_higher_better(metric: str) -> bool:
    """Return whether more of a metric is better: of all but those that are named a loss or an error."""
    return not metric.endswith(("loss", "error", "mse", "mae"))


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number and its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network with a head that fits the labels, and what belongs to it."""

    model: Any
    """`transformers.PreTrainedModel`, float32 unless the recipe asks otherwise; on the meta device in an outline."""
    processor: Any
    """The transformers processor whose settings are saved with the model."""
    new_layers: frozenset[str]
    """Modules that the checkpoint does not hold, or whose shape depends on the labels; always trained."""
    base_id: str
    """Hub id or folder of the checkpoint."""
    revision: str | None = None
    """Commit of the checkpoint on the Hub; None for a folder, or for an architecture without its weights."""
    pretrained: bool = True
    fingerprint: str | None = None
    """Of the weights that the checkpoint holds; None without weights."""
    quantization: Mapping[str, Any] | None = None
    """The `quantization_config:` block with every layer that stayed in floats; None for a base in floats."""
    own_size: int | None = None
    """Side in pixels of the pictures that the checkpoint was trained on; None where it does not say, or has none."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A split after the last evaluation: what pictures are drawn from."""

    split: Any
    """Raw examples; `split[row]` is one."""
    kept: Kept
    label_names: Sequence[str]
    history: Sequence[Mapping[str, float]]
    """The Trainer's log events."""


def mix_nothing(preprocess: Any) -> None:
    """Stand for a task whose training rows are not mixed."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A value of a first recipe, and why it is this one."""

    value: Any
    why: str


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What a task would do with data that was looked at: the parts of a first recipe that are the task's own."""

    columns: Mapping[str, Choice]
    """Role → column."""
    checkpoint: Choice
    preprocess: Mapping[str, Choice]
    method: Choice
    """A word under `peft:`."""
    metric: Choice
    """What the best checkpoint is chosen by."""
    most_rows: int
    """The largest batch that is sensible."""


def _suggest_nothing(survey: Any, has_gpu: bool) -> "Suggestion | None":
    """Stand for a task that suggests no recipe of its own."""
    return None


def _say_nothing(encoded: Any, model: Any) -> list[str]:
    """Stand for a task whose encoded rows need no word."""
    return []


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of problem."""

    columns: Mapping[str, str]
    """Role → what the data set's column for it must hold."""
    preprocess: type
    """Dataclass of the `preprocess:` block."""
    load_model: Callable[[Any, Any, Sequence[str]], LoadedModel]
    """(`model:` block, `preprocess:` block, label names) → the network with its weights."""
    outline_model: Callable[[Any, Any, Sequence[str]], LoadedModel]
    """The same without weights, on the meta device: its configuration is fetched and nothing else."""
    load_processor: Callable[[Path], Any]
    """Folder of a run → its processor."""
    check_example: Callable[[Example, Any], Any]
    """(raw example, processor) → nothing; raises `InputError` where it cannot be read; cheaper than `encode`."""
    encode: Callable[[Example, Any], Example]
    """(raw example, processor) → tensors of one row, without randomness, and its label as it is under `labels`; raises
    `InputError` for what `check_example` refuses, unless the task has `encode_rows`. Called in threads."""
    collate: Callable[[Sequence[Example], Any], Batch]
    """(encoded examples, processor) → one batch with the rows' `labels` and `row` (their numbers in the split)."""
    augment: Callable[[Batch, Any, Any], Batch]
    """(training batch, `preprocess:` block, draws) → the batch changed by those draws."""
    to_inputs: Callable[[Batch, Any], Batch]
    """(batch, processor) → the keyword arguments of the model's forward."""
    loss: Callable[[Any, Batch, float], torch.Tensor]
    """(model output, batch, label smoothing) → loss of each row, shape (rows,), float32."""
    keep_per_row: Callable[[Any, Batch, str], Batch]
    """(model output, batch, problem type) → all that evaluation and `predict` keep of each row, reduced on the device,
    before it is gathered: it is held for every row of a split. First axis is the row."""
    row_scores: Callable[[Any, Batch], Batch]
    """(model output, batch) → scores that are means over rows, for the training batches, shape (rows,)."""
    metric_names: Mapping[ProblemType, Sequence[str]]
    """Problem type → every name that `metrics` may report for it; the task has no other problem types."""
    metrics: Callable[[Kept, Sequence[str]], Mapping[str, Score]]
    """(kept rows of a split, label names) → metric name → score with interval."""
    baseline: Callable[[Kept, Kept, Sequence[str]], Mapping[str, Any]]
    """(kept training labels, kept rows, label names) → what guessing without looking scores: name, metric, value."""
    decode: Callable[[Kept, Sequence[str]], list[Any]]
    """(kept rows, label names) → what `predict` returns."""
    prediction_columns: Callable[[Kept, Sequence[str]], Mapping[str, Any]]
    """(kept rows, label names) → the columns of predictions.parquet."""
    feature_cut: Callable[[Any, int], str]
    """(model, number of labels) → name of the module whose input is one feature vector per row."""
    input_statistics: Callable[[Example, Any], Mapping[str, float]]
    """(raw example, processor) → numbers that monitoring compares with later."""
    read_input: Callable[[Any], Example]
    """What a user hands to `predict` (a path, an object) → raw example without label."""
    details: Callable[[Kept, Sequence[str]], Mapping[str, Any]]
    """(kept rows of the reported split, label names) → what results.json says beyond the scores."""
    plots: Callable[[Scored, Path], list[str]]
    """(reported split, folder) → file names of the pictures written."""
    card_section: Callable[[Mapping[str, Any]], str]
    """results.json → Markdown on what this task's numbers say."""
    pipeline_tag: str
    """The Hub's word for this task."""
    auto_model: str
    """The transformers auto class that loads a full model of this task."""
    auto_processor: str
    """The transformers auto class that loads the processor beside a saved model."""
    sample: str
    """Python expression of one input, for the snippets of the card."""
    example_plots: Sequence[str] = ()
    """Names of the plots that show rows of the data, which not every owner of data wants to publish."""
    input_patterns: Sequence[str] = ()
    """Glob patterns of the files in a folder that `predict` reads; none where inputs are texts."""
    optional_columns: Sequence[str] = ()
    """Roles that a data set may lack."""
    file_columns: Sequence[str] = ()
    """Roles whose words are paths of files, relative to the table that they stand in."""
    suggest: Callable[[Any, bool], "Suggestion | None"] = _suggest_nothing
    """(`data.survey.Survey`, whether a GPU trains) → what a first recipe would be; None for other data."""
    encode_rows: Callable[[Sequence[Example], Any], Mapping[str, Sequence[Any]]] | None = None
    """(raw examples, processor) → columns, for inputs of another length in every row, encoded many at a time and
    cached on disk; the processor has a `fingerprint()`. None: rows are encoded one by one, once where they have one
    shape."""
    describe_encoded: Callable[[Any, Any], list[str]] = _say_nothing
    """(encoded split, model) → what a reader has to know; raises `InputError` for rows that the model cannot take."""
    to_pictures: Callable[[Batch], Sequence[Any]] | None = None
    """Batch → a picture of each row, for people: uint8, shape (height, width, 3). None: rows are no pictures."""
    mixing: Callable[[Any], Any] = mix_nothing
    """`preprocess:` block → how training rows are mixed with others (such as `Mixing`), None where they are not: its
    `draw_partners(seed, epoch, rows, number of rows)` gives other rows, and it is called with (augmented batch,
    augmented partners, draws) for the mixed batch, whose two labels `loss` is asked for one after the other."""
    label_role: str | None = "label"
    """The role whose values are classes; None where the task has none."""
    peft_task_type: str | None = None
    """PEFT's word for this task; None where PEFT has none."""
    learning_rates: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Word under `peft:` → rates of the base or adapter and of new layers, where the task wants others than texts."""
    training_arguments: Mapping[str, Any] = field(default_factory=dict)
    """Training arguments that the task cannot do without."""

    @property
    def problem_types(self) -> tuple[ProblemType, ...]:
        """Return the kinds of labels that the task has."""
        return tuple(self.metric_names)

    def build_inputs(self, batch: Batch, processor: Any, model: Any) -> Batch:
        """Return `to_inputs` in the precision of the model's first weights: half precision takes no float32."""
        dtype = next(model.parameters()).dtype
        inputs = self.to_inputs(batch, processor)
        return {name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()}
