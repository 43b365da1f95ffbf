"""load_finetuned: a run's folder or Hub id → model, processor and `predict`; any task, any method."""

import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_tune.data.look_ahead import map_ahead
from hf_tune.input_error import InputError
from hf_tune.model.checkpoint import find_absent, fingerprint_weights, silence_load_report
from hf_tune.model.quantised_base import build_load_arguments, cast_to_float32, forget_quantization, is_quantised
from hf_tune.recipe.source import read_yaml
from hf_tune.results.record import read_results
from hf_tune.task import SINGLE_LABEL, Batch, Example, Kept, Task
from hf_tune.tasks import get_task


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

    @property
    def processor(self) -> Any:
        """Return the plain transformers processor."""
        return self.encoder.plain

    def predict(self, inputs: Sequence[Any], batch_size: int = 32) -> list[Any]:
        """Return one prediction per input, in order; for pictures an input is a path, encoded bytes or a PIL picture.

        Raises `InputError` for an input that cannot be read; it names its number and, where it is one, its path.
        """

        def encode(number: int) -> Example:
            each = inputs[number]
            try:
                example = self.task.read_input(each)
                if self.task.encode_rows is not None:  # which takes for granted that rows were checked
                    self.task.check_example(example)
                return self.task.encode(example, self.encoder)
            except InputError as error:
                name = f"input {number}" + (f" ({each})" if isinstance(each, (str, Path)) else "")
                raise InputError(f"{name}: {error.problem}", error.hint) from None

        kept = self._keep(self._run(encode, len(inputs), batch_size))
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
        return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}

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
                yield self.model(**self.task.build_inputs(batch, self.encoder, self.model)), batch


def load_finetuned(name: str | Path, revision: str | None = None, device: str | torch.device = "cpu") -> Finetuned:
    """Return the model of a run's folder or of a Hub id, full or adapter, in evaluation mode.

    Raises `InputError` where the folder is no run of hf_tune, or the base of an adapter is not there.
    """
    folder = _find_folder(name, revision)
    values, _ = read_yaml(folder / "recipe.yaml")
    if "." in values["task"] and Path(name).is_dir() and str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))  # a task of the user's own, copied there; never code from the Hub
    task = get_task(values["task"])
    if (folder / "adapter_config.json").exists():
        model = _load_adapter(folder, task, values["model"].get("quantization_config"), device)
    else:
        model = _load_full(folder, task)
    model = model.eval() if is_quantised(model) else model.to(device).eval()
    labels = model.config.id2label
    return Finetuned(
        task=task,
        model=model,
        encoder=task.load_processor(folder),
        label_names=tuple(labels[number] for number in range(len(labels))),
        problem_type=getattr(model.config, "problem_type", None) or SINGLE_LABEL,
    )


def _find_folder(name: str | Path, revision: str | None) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import errors, snapshot_download

        try:
            folder = Path(snapshot_download(str(name), revision=revision, ignore_patterns=["checkpoint-*"]))
        except (errors.HFValidationError, errors.RepositoryNotFoundError, errors.LocalEntryNotFoundError) as error:
            hint = "give the `training.output_dir` of a run, or a Hub id that can be reached"
            raise InputError(f"{str(name)!r} is neither a folder nor a Hub id: {error}", hint) from None
    if not (folder / "recipe.yaml").exists():
        raise InputError(f"{str(name)!r} is no run of hf_tune: it holds no recipe.yaml", "give its output_dir")
    if not any((folder / file).exists() for file in ("adapter_config.json", "config.json")):
        raise InputError(f"the run in {str(name)!r} has not saved a model yet", "finish it with --resume")
    return folder


def _load_full(folder: Path, task: Task) -> Any:
    import transformers

    return getattr(transformers, task.auto_model).from_pretrained(folder, dtype="auto")


def _load_adapter(folder: Path, task: Task, quantization: Any, device: str | torch.device) -> Any:
    import transformers
    from peft import PeftConfig, PeftModel

    adapter = PeftConfig.from_pretrained(folder)
    try:
        with silence_load_report():
            base, info = getattr(transformers, task.auto_model).from_pretrained(
                adapter.base_model_name_or_path,
                revision=adapter.revision,
                config=transformers.AutoConfig.from_pretrained(folder),
                dtype="auto",  # as config.json says: the precision that the base had in training
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **build_load_arguments(quantization, device),
            )
    except OSError as error:
        problem = f"the adapter's base {adapter.base_model_name_or_path!r} cannot be loaded: {error}"
        raise InputError(problem, "it must be at the same place, or on the Hub") from None
    _check_base(folder, adapter, base, info)
    forget_quantization(base.config)
    cast_to_float32(base)  # PEFT 0.21 would round the head to half precision
    return PeftModel.from_pretrained(base, folder)


def _check_base(folder: Path, adapter: Any, base: Any, info: Mapping[str, Any]) -> None:
    """Raise where the base is not the one that the adapter was trained on: transformers fills gaps at random."""
    whole = tuple(f"{name}." for name in adapter.modules_to_save or ())
    strange = sorted(name for name in find_absent(base, info) if not name.startswith(whole))
    name, hint = adapter.base_model_name_or_path, "put the checkpoint that it was trained on in its place"
    if strange:
        problem = f"{name!r} is not the base of this adapter: it holds no fitting {', '.join(strange[:3])}"
        raise InputError(f"{problem} and {len(strange) - 3} more" if len(strange) > 3 else problem, hint)
    if not (folder / "results.json").exists():  # the run proves itself before it writes them
        return
    own = read_results(folder)["base"]
    if "fingerprint" in own and own["fingerprint"] != fingerprint_weights(base, own["new_layers"]):
        raise InputError(f"{name!r} holds other weights than when this adapter was trained", hint)
