"""A first recipe as blocks whose values carry the reason for them, and as text with the reasons as comments."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from hf_tune.data.source_files import VALIDATION_NAMES
from hf_tune.data.survey import Survey
from hf_tune.task import Choice, Suggestion


_PART = 0.15
"""Of train, for a split that the data does not have."""
_MOST = 0.3
_LEAST_VALIDATION = 100
"""Rows from which on an epoch is chosen by its score."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What trains."""

    has_gpu: bool
    memory: int
    """Bytes of the device."""
    name: str
    """Of the device with its memory, as a comment says it."""
    has_bf16: bool = False


def build_values(
    task_name: str, survey: Survey, suggestion: Suggestion, machine: Machine, output_dir: str
) -> dict[str, Any]:
    """Return the blocks of a first recipe; what was chosen is a `Choice`."""
    columns = {role: choice for role, choice in suggestion.columns.items() if role != choice.value}
    splits = choose_splits(survey, suggestion.columns.get("label"))
    rows = survey.rows[survey.train]
    batch = choose_batch(rows, suggestion.most_rows)
    is_probe, validated = suggestion.method.value == "probe", count_validation(survey, splits)
    is_judged = validated >= _LEAST_VALIDATION
    training: dict[str, Any] = {
        "output_dir": output_dir,
        "per_device_train_batch_size": batch,
        "num_train_epochs": choose_epochs(rows, batch.value, is_probe) if is_judged else choose_few_epochs(validated),
        "lr_scheduler_type": Choice(value="cosine", why="the rate falls to nothing at the last step"),
        "warmup_steps": Choice(value=0.1, why="a fraction of all steps"),
        "seed": 0,
    }
    if machine.has_bf16 and not is_probe:
        training["bf16"] = Choice(value=True, why="the GPU has it: half the memory, and faster")
    patience = Choice(value=10 if is_probe else 3, why="epochs without improvement before the run stops")
    blocks: dict[str, Any] = {
        "task": task_name,
        "model": {"pretrained_model_name_or_path": suggestion.checkpoint},
        "data": {"load": dict(survey.load), "splits": splits, "columns": columns},
        "preprocess": dict(suggestion.preprocess),
        "peft": suggestion.method,
        "early_stopping": {"metric": suggestion.metric, "patience": patience} if is_judged else {},
        "training": training,
    }
    blocks["data"] = {name: block for name, block in blocks["data"].items() if block}
    return {name: block for name, block in blocks.items() if block}


def choose_splits(survey: Survey, label: Choice | None) -> dict[str, Any]:
    """Return what is to be cut from train, and its name where that is not `train`."""
    counts = survey.get(label.value).counts if label is not None else {}
    rows, rarest = survey.rows[survey.train], min(counts.values(), default=survey.rows[survey.train])
    part = max(_PART, math.ceil(100 * len(counts) / rows) / 100)
    found: dict[str, Any] = {} if survey.train == "train" else {"train": survey.train}
    has_validation = any(name in survey.rows for name in VALIDATION_NAMES)
    how = "of train, with all classes in the same shares" if counts else "of train, at random"
    if not has_validation and part <= _MOST and rarest >= 2:
        found["validation"] = Choice(value=part, why=f"{how}: chooses the best epoch")
    if "test" not in survey.rows and part <= _MOST and rarest >= 4:
        found["test"] = Choice(value=part, why=f"{how}: what is reported, and nothing else looks at it")
    return found


def count_validation(survey: Survey, splits: Mapping[str, Any]) -> int:
    """Return how many rows validate: those of the split that is there, or what is cut from train."""
    own = next((survey.rows[name] for name in VALIDATION_NAMES if name in survey.rows), None)
    if own is not None:
        return own
    part = splits["validation"].value if "validation" in splits else 0.1  # what is cut where nothing is said
    return int(part * survey.rows[survey.train])


def choose_few_epochs(validated: int) -> Choice:
    """Return the epochs where no epoch is chosen by its score."""
    return Choice(value=8, why=f"all are run: {validated} validation rows are too few to choose one by")


def choose_batch(rows: int, most: int) -> Choice:
    """Return a power of two from 8 on that leaves an epoch ten steps."""
    size = most
    while size > 8 and rows < 10 * size:
        size //= 2
    why = "a usual size" if size == most else f"of {rows} rows: an epoch has {math.ceil(rows / size)} steps"
    return Choice(value=size, why=why)


def choose_epochs(rows: int, batch: int, is_probe: bool) -> Choice:
    """Return the epochs: many of few rows; those of a probe cost next to nothing."""
    if is_probe:
        return Choice(value=50, why="at most; they cost little, as rows pass the network once")
    epochs = min(20, max(3, round(3000 * batch / rows / 10)))
    return Choice(value=epochs, why=f"at most; {epochs * math.ceil(rows / batch):,} steps")


def fill_values(blocks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of blocks."""
    return {
        name: fill_values(each) if isinstance(each, Mapping) else each.value if isinstance(each, Choice) else each
        for name, each in blocks.items()
    }


def write_text(blocks: Mapping[str, Any], header: Sequence[str]) -> str:
    """Return the recipe: a line of the header each as a comment, the blocks, and behind each choice its reason.

    A line end in the name of a column or class, which would end the comment, is a blank there.
    """
    comments = "\n".join(f"# {_join_lines(line)}".rstrip() for line in header)
    parts = ["\n".join(_write_lines({name: block}, 0)) for name, block in blocks.items()]
    return f"{comments}\n" + "\n\n".join(parts) + "\n"


def _write_lines(block: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield f"{'  ' * depth}{name}:"
            yield from _write_lines(value, depth + 1)
            continue
        plain, why = (value.value, value.why) if isinstance(value, Choice) else (value, "")
        yield f"{'  ' * depth}{_dump(name, plain)}" + (f" # {_join_lines(why)}" if why else "")


def _join_lines(text: str) -> str:
    return " ".join(text.splitlines())


def _dump(name: str, value: Any) -> str:
    """Return `name: value` as YAML in one line."""
    yaml, stream = YAML(), io.StringIO()
    yaml.width = 10**6
    if isinstance(value, list):
        value = CommentedSeq(value)
        value.fa.set_flow_style()
    yaml.dump({name: value}, stream)
    return stream.getvalue().rstrip("\n")


def name_output(file: Path) -> str:
    """Return the folder of the run of a recipe."""
    return f"outputs/{file.stem}"
