"""load_finetuned: a run's folder or Hub id → model, processor and `predict`; any task, any method."""

import dataclasses
import itertools
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_tune.adapter.added_adapter import ALONE, add_saved_adapter
from hf_tune.adapter_base import build_outline, check_same_base, load_base
from hf_tune.data.look_ahead import map_ahead
from hf_tune.hub.snapshot import find_run
from hf_tune.input_error import InputError
from hf_tune.model.own_network import choose_class
from hf_tune.model.quantised_base import is_quantised
from hf_tune.recipe.source import read_yaml
from hf_tune.results.decision import Threshold, decide, load_threshold
from hf_tune.results.record import read_results
from hf_tune.results.versions import describe_other_versions
from hf_tune.task import SINGLE_LABEL, Batch, Example, Kept, Task
from hf_tune.tasks import get_stored_task, get_task


logger = logging.getLogger(__name__)

AHEAD = 2
"""Batches that are encoded, or being encoded, while the model computes."""
THREADS = os.cpu_count() or 1
"""On two busy cores one thread and two measured the same with MobileNetV2, whose forward takes nearly all the time."""


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A fine-tuned model with everything that its predictions need."""

    task: Task
    model: Any
    """The plain torch module: `transformers.PreTrainedModel`, or `peft.PeftModel` around one."""
    encoder: Any
    """The processor as the task uses it."""
    label_names: tuple[str, ...]
    problem_type: str = SINGLE_LABEL
    folder: Path | None = None
    """Where it was loaded from; None for a model that was trained in this process."""
    threshold: Threshold | None = None
    """From which probability on the positive one of two classes is answered; None: the most probable one is."""
    adapter_name: str | None = None
    """Its adapter in a network that may hold others; None without one."""
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext, repr=False, compare=False)
    """Held while a network that may carry several adapters computes for one of them: a lock that they share."""

    @property
    def processor(self) -> Any:
        """Return the plain transformers processor."""
        return self.encoder.plain

    def add_adapter(
        self,
        name: str | Path,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "Finetuned":
        """Return another run's model on the network of this one: its adapter, labels and preprocessing are its own.

        The base stays in memory once, and both predict as if they were alone. `name` and the other arguments are
        those of `load_finetuned`. Raises `InputError` where the run trained no adapter, or one on another base, or
        one that PEFT cannot hold beside this one.
        """
        folder = find_run(name, revision, cache_dir, local_files_only)
        if self.adapter_name is None or self.folder is None:
            raise InputError("this run holds a full model, which takes no adapter", "start from a run of an adapter")
        if not (folder / "adapter_config.json").exists():
            raise InputError(f"{str(name)!r} holds a full model: there is no adapter to add", ALONE)
        task = _read_task(folder, name)
        if task.auto_model != self.task.auto_model:
            raise InputError(f"{str(name)!r} is a {task.auto_model}, this one a {self.task.auto_model}", ALONE)
        check_same_base(self.folder, folder, str(name))
        _say_versions(folder)
        with self.turn:
            outline = build_outline(folder, task)
            adapter_name = add_saved_adapter(self.model, folder, outline)
        added = _describe(folder, task, self.model, outline.config)
        return dataclasses.replace(added, adapter_name=adapter_name, turn=self.turn)

    def activate(self) -> Any:
        """Return the model with this run's adapter active, of a network that holds others too.

        Predicting does so by itself; whoever calls or merges the shared `model` directly comes here first.
        """
        if self.adapter_name is not None and self.model.active_adapter != self.adapter_name:
            self.model.set_adapter(self.adapter_name, inference_mode=True)
        return self.model

    def predict(self, inputs: Sequence[Any], batch_size: int = 32) -> list[Any]:
        """Return one prediction per input, in order; for pictures an input is a path, encoded bytes or a PIL picture.

        Raises `InputError` for an input that cannot be read; it names its number and, where it is one, its path.
        """

        def name(number: int) -> str:
            each = inputs[number]
            return f"input {number}" + (f" ({each})" if isinstance(each, (str, Path)) else "")

        return self._predict(lambda number: self.task.read_input(inputs[number]), len(inputs), batch_size, name)

    def predict_examples(
        self, examples: Sequence[Example], batch_size: int = 32, name: Callable[[int], str] = "input {}".format
    ) -> list[Any]:
        """Return one prediction per raw example, in order; `name` is what an `InputError` calls one by its number."""
        return self._predict(lambda number: examples[number], len(examples), batch_size, name)

    def _predict(
        self, read: Callable[[int], Example], count: int, batch_size: int, name: Callable[[int], str]
    ) -> list[Any]:
        def encode(number: int) -> Example:
            try:
                example = read(number)
                if self.task.encode_rows is not None:  # which takes for granted that rows were checked
                    self.task.check_example(example, self.encoder)
                return self.task.encode(example, self.encoder)
            except InputError as error:
                raise InputError(f"{name(number)}: {error.problem}", error.hint) from None

        kept = self._keep(self._run(encode, count, batch_size))
        return self.task.decode(kept, self.label_names) if kept else []

    def keep_rows(self, examples: Sequence[Example], batch_size: int = 32) -> Kept:
        """Return what the task keeps of each raw example, and its labels where it has some."""
        return self._keep(self.run_batches(examples, batch_size))

    def read_outputs(self, examples: Sequence[Example], batch_size: int = 32) -> np.ndarray:
        """Return the model's first output (the logits) of raw examples, float32, one row per example."""
        batches = self.run_batches(examples, batch_size)
        return np.concatenate([outputs.to_tuple()[0].float().cpu().numpy() for outputs, _ in batches])

    def run_batches(self, examples: Sequence[Example], batch_size: int) -> Iterator[tuple[Any, Batch]]:
        """Yield the model's output and the batch, in evaluation mode, without autocast."""
        return self._run(lambda row: self.task.encode(examples[row], self.encoder), len(examples), batch_size)

    def _keep(self, batches: Iterable[tuple[Any, Batch]]) -> Kept:
        """Return what the task keeps of the rows of all batches; nothing where there is no batch."""
        parts: list[dict[str, np.ndarray]] = []
        for outputs, batch in batches:
            kept = self.task.keep_per_row(outputs, batch, self.problem_type)
            kept |= {"labels": batch["labels"]} if "labels" in batch else {}
            parts.append({name: value.cpu().numpy() for name, value in kept.items()})
        names = parts[0] if parts else ()
        return decide({name: np.concatenate([part[name] for part in parts]) for name in names}, self.threshold)

    @torch.inference_mode()
    def _run(
        self, encode: Callable[[int], Example], count: int, batch_size: int
    ) -> Generator[tuple[Any, Batch], None, None]:
        """Yield the model's output and the batch of encoded rows 0 … count - 1, which threads encode ahead of it."""
        self.model.eval()
        device = next(self.model.parameters()).device
        with closing(map_ahead(encode, count, ahead=AHEAD * batch_size, threads=THREADS)) as rows:
            while examples := list(itertools.islice(rows, batch_size)):
                batch = self.task.collate(examples, self.encoder)
                batch = {name: value.to(device) for name, value in batch.items()}
                inputs = self.task.build_inputs(batch, self.encoder, self.model)
                with self.turn:
                    outputs = self.activate()(**inputs)
                yield outputs, batch


def load_finetuned(
    name: str | Path,
    revision: str | None = None,
    device: str | torch.device = "cpu",
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Finetuned:
    """Return the model of a run's folder or of a Hub id, full or adapter, in evaluation mode.

    `revision`, `cache_dir` and `local_files_only` are those of `snapshot_download`; the last two count for the base of
    an adapter too. Raises `InputError` where there is no run of hf_tune, it cannot be reached, or the base of an
    adapter is not there. Warns where other versions of the libraries made the run.
    """
    folder = find_run(name, revision, cache_dir, local_files_only)
    task = _read_task(folder, name)
    _say_versions(folder)
    is_adapter = (folder / "adapter_config.json").exists()
    if is_adapter:
        model = _load_adapter(folder, task, device, {"cache_dir": cache_dir, "local_files_only": local_files_only})
    else:
        model = _load_full(folder, task)
    model = model.eval() if is_quantised(model) else model.to(device).eval()
    found = _describe(folder, task, model, model.config)
    if is_adapter:
        return dataclasses.replace(found, adapter_name=model.active_adapter, turn=threading.RLock())
    return found


def _read_task(folder: Path, name: str | Path) -> Task:
    values, _ = read_yaml(folder / "recipe.yaml")
    if Path(name).is_dir():
        return get_stored_task(values["task"], folder)
    return get_task(values["task"])  # never code from the Hub


def _describe(folder: Path, task: Task, model: Any, config: Any) -> Finetuned:
    """Return a model with the labels of its config and the processor of its folder."""
    labels = config.id2label
    return Finetuned(
        task=task,
        model=model,
        encoder=task.load_processor(folder),
        label_names=tuple(labels[number] for number in range(len(labels))),
        problem_type=getattr(config, "problem_type", None) or SINGLE_LABEL,
        folder=folder,
        threshold=load_threshold(folder),
    )


def _say_versions(folder: Path) -> None:
    if (folder / "results.json").exists():
        sentence = describe_other_versions(read_results(folder))
        if sentence:
            logger.warning("%s: %s", folder, sentence)


def _load_full(folder: Path, task: Task) -> Any:
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    return choose_class(getattr(transformers, task.auto_model), config).from_pretrained(folder, dtype="auto")


def _load_adapter(folder: Path, task: Task, device: str | torch.device, where: dict[str, Any]) -> Any:
    from peft import PeftModel

    values, _ = read_yaml(folder / "recipe.yaml")
    base = load_base(folder, task, values["model"].get("quantization_config"), device, where)
    return PeftModel.from_pretrained(base, folder)
