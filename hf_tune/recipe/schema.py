"""Recipe: the blocks of one YAML file as checked values."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_tune.adapter.attach import BatchNorm, Method
from hf_tune.data.data_source import DataSource
from hf_tune.hub.hub_block import Hub
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.source import KeyPath, Source
from hf_tune.results.decision import Decision
from hf_tune.training.early_stopping import EarlyStopping
from hf_tune.training.objective import Objective
from hf_tune.training.speed import Speed


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run described: values that were checked, not objects that were built."""

    task: str
    """File in `hf_tune/tasks/`, or a dotted module of the user's own."""
    model: ModelSource
    data: DataSource
    preprocess: Any
    """The task's own dataclass."""
    peft: Method
    """`full`, `lora`, `prefix`, `bottleneck`, `probe`, or the fields of a PEFT config with its `peft_type`."""
    batch_norm: BatchNorm | None = None
    """Whether running statistics move; None: trained for `full`, frozen for every other method."""
    objective: Objective = field(default_factory=Objective)
    """Learning rates of the parts; where `training.learning_rate` is left out, the method's measured ones."""
    decision: Decision | None = None
    """From which probability on the positive one of two classes is answered; None: the most probable one is."""
    linear_baseline: bool | None = None
    """Whether logistic regression on the checkpoint's frozen features is scored beside; None: where rows are few."""
    early_stopping: EarlyStopping | None = None
    training: Mapping[str, Any]
    """Fields of `TrainingArguments`, with what `early_stopping:` stands for."""
    speed: Speed = field(default_factory=Speed)
    """What is computed once instead of every epoch."""
    hub: Hub | None = None
    """Where the run is pushed; None: nowhere, and the network is not used."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `huggingface_hub.ModelCardData`."""
    values: Mapping[str, Any]
    """The plain values of the file with the overrides of the command line."""
    source: Source

    @property
    def folder(self) -> Path:
        """Return the folder that the recipe stands in."""
        return Path(self.source.file).parent

    @property
    def output_dir(self) -> Path:
        """Return the folder that the run writes."""
        return Path(self.training["output_dir"])

    @contextmanager
    def blame(self, *block: str) -> Iterator[None]:
        """Turn the `InputError` of a step into a `RecipeError` that names the line of its key in this block."""
        try:
            yield
        except RecipeError:
            raise
        except InputError as error:
            absolute = error.at and error.at[0] in self.__dataclass_fields__  # a parameter named like its block
            path: KeyPath = error.at if absolute else (*block, *error.at)
            raise RecipeError([self.source.problem(path, error.problem, error.hint)]) from error
