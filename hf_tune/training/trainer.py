"""The one Trainer subclass: the task's own loss, per-row evaluation and keyed augmentation."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer_utils import TrainOutput

from hf_tune.task import SINGLE_LABEL, Batch, Example, Kept, Task
from hf_tune.training.epoch_sampler import EpochSampler, LengthSampler
from hf_tune.training.gradient_check import GradientCheck
from hf_tune.training.objective import Objective, group_parameters
from hf_tune.training.progress import JsonLog, Progress, read_train_cost
from hf_tune.training.step_plan import has_all_steps, plan_steps


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a run trains on and is judged by."""

    train: Any
    """Encoded training rows; its indices carry the epoch (`EpochSampler`)."""
    validation: Any
    """Encoded rows that choose the checkpoint."""
    test: Any = None
    """Encoded rows that are scored once, at the end."""
    preprocess: Any
    """The `preprocess:` block."""
    make_draws: Callable[[int, int, np.ndarray], Any]
    """(seed, epoch, rows) → the randomness of one training batch."""
    label_names: Sequence[str]
    problem_type: str = SINGLE_LABEL
    new_layers: frozenset[str] = frozenset()
    objective: Objective = field(default_factory=Objective)
    notes: Sequence[str] = ()
    """What a reader of the results has to know about the rows."""


class FineTuneTrainer(Trainer):
    """Trains a task's model on encoded splits.

    The loss of a step is the sum of its rows' losses over the number of rows of the whole accumulated batch, on all
    processes. transformers 5.23 would take the mean per micro-batch for several heads (BERT, T5 …) and then not divide
    by the accumulation steps, which makes gradients that many times too large.
    """

    def __init__(
        self,
        task: Task,
        model: Any,
        processor: Any,
        args: Any,
        data: TrainingData,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        """Join the parts; `args` are `TrainingArguments`."""
        self.task = task
        self.encoder = processor
        self.data = data
        self.train_sums: dict[str, torch.Tensor] = {}
        self.resumed_from: str | None = None
        super().__init__(
            model=model,
            args=args,
            data_collator=self._collate,
            train_dataset=data.train,
            eval_dataset=data.validation,
            compute_metrics=self._compute_metrics,
            callbacks=[GradientCheck(), JsonLog(), Progress(), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # count the rows of the accumulated batch; do not divide by its parts

    def train(self, resume_from_checkpoint: str | None = None, **kwargs: Any) -> Any:
        """Train as `transformers.Trainer` does, and remember what it started from.

        A checkpoint that needs no further step is restored: with it transformers 5.23 would take one step too many.
        """
        self.resumed_from = resume_from_checkpoint
        plan = plan_steps(self.args, len(self.data.train))
        if resume_from_checkpoint and has_all_steps(Path(resume_from_checkpoint), plan):
            return self._restore(resume_from_checkpoint)
        trained = super().train(resume_from_checkpoint, **kwargs)
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint is None:
            note = f"No evaluation gave a finite {self.args.metric_for_best_model}: the last step is what is saved."
            logger.warning(note)
            self.data = replace(self.data, notes=(*self.data.notes, note))
        return trained

    def keep_rows(self, split: Any) -> Kept:
        """Return what the task keeps of every row of an encoded split, in data-set order, with `loss` and `labels`."""
        predicted = self.predict(split)
        return _named_rows(predicted.predictions)

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a micro-batch, scaled so that those of a step add up to the mean over its rows."""
        draws = self.data.make_draws(self.args.seed, int(inputs["epoch"][0]), inputs["row"].cpu().numpy())
        batch = self.task.augment(inputs, self.data.preprocess, draws)
        outputs = model(**self.task.build_inputs(batch, self.encoder, model))
        losses = self.task.loss(outputs, batch, self.args.label_smoothing_factor)
        self._add_train_scores({**self.task.row_scores(outputs, batch), "mean_loss": losses})
        # With DataParallel the count comes as one share per device.
        count = len(losses) if num_items_in_batch is None else torch.as_tensor(num_items_in_batch).sum()
        loss = losses.sum() / count
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # DDP averages over processes what is a sum here
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: Batch, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, Batch, torch.Tensor]:
        """Return what the task keeps of each row, with the row's own loss: no mean of means over batches."""
        batch = self._prepare_inputs(inputs)
        with torch.inference_mode(), self.compute_loss_context_manager():
            outputs = model(**self.task.build_inputs(batch, self.encoder, model))
            losses = self.task.loss(outputs, batch, 0.0)
            kept = self.task.keep_per_row(outputs, batch, self.data.problem_type)
        kept = {**kept, "loss": losses, "labels": batch["labels"], "row": batch["row"]}
        return None, kept, batch["labels"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the scores on the training batches since the last evaluation to the entry of an evaluation."""
        if "eval_loss" in logs:
            logs |= self._take_train_scores()
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimiser; where the objective gives rates of their own, one group of parameters for each."""
        if getattr(self, "optimizer", None) is None and self.data.objective != Objective():
            opt_model = self.model if model is None else model
            decaying = set(self.get_decay_parameter_names(opt_model))
            named = opt_model.named_parameters()
            groups = group_parameters(named, decaying, self.data.new_layers, self.data.objective, self.args)
            optimizer_class, kwargs = self.get_optimizer_cls_and_kwargs(self.args, opt_model)
            self.optimizer = optimizer_class(groups, **kwargs)
        return super().create_optimizer(model)

    def _restore(self, checkpoint: str) -> TrainOutput:
        """Return to the end of a training that was cut off while it was scored."""
        self.state = TrainerState.load_from_json(str(Path(checkpoint, "trainer_state.json")))
        self._load_from_checkpoint(checkpoint)
        best = self.state.best_model_checkpoint
        if self.args.load_best_model_at_end and best is not None and Path(best).is_dir():
            self._load_best_model()
        metrics = read_train_cost(Path(self.args.output_dir, "log.jsonl"))
        return TrainOutput(self.state.global_step, float("nan"), metrics)

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Any:
        """Return the number of rows of a step; transformers 5.23 counts labels, of which a row may have several."""
        return super()._get_num_items_in_batch([{"labels": batch["row"]} for batch in batch_samples], device)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        is_grouped = self.args.train_sampling_strategy == "group_by_length"
        lengths = rows.lengths if is_grouped else None
        return EpochSampler(len(rows), self.args.seed, lengths, self.args.train_batch_size)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """Return the longest rows first where lengths differ; `keep_rows` puts rows back into data-set order."""
        lengths = getattr(eval_dataset, "lengths", None)
        return super()._get_eval_sampler(eval_dataset) if lengths is None else LengthSampler(lengths)

    def _collate(self, examples: Sequence[Example]) -> Batch:
        return self.task.collate(examples, self.encoder)

    def _compute_metrics(self, prediction: Any) -> dict[str, float]:
        kept = _named_rows(prediction.predictions)
        scores = self.task.metrics(kept, self.data.label_names)
        return {"loss": float(kept["loss"].mean()), **{name: score.value for name, score in scores.items()}}

    @torch.no_grad()
    def _add_train_scores(self, scores: Batch) -> None:
        """Add up scores on the device; reading them here would wait for it at every step."""
        rows = next(iter(scores.values()))
        for name, values in {**scores, "rows": torch.ones_like(rows)}.items():
            total = values.detach().double().sum() if values.device.type != "mps" else values.detach().sum()
            self.train_sums[name] = self.train_sums.get(name, 0.0) + total

    def _take_train_scores(self) -> dict[str, float]:
        if not self.train_sums:
            return {}
        names = sorted(self.train_sums)
        totals = torch.stack([self.train_sums[name] for name in names]).float()[None]
        sums = dict(zip(names, self.accelerator.gather(totals).sum(0).tolist(), strict=True))
        self.train_sums = {}
        return {f"train_{name}": value / sums["rows"] for name, value in sums.items() if name != "rows"}


def _named_rows(predictions: Any) -> Kept:
    """Return the gathered arrays, rows in data-set order."""
    order = np.argsort(predictions["row"], kind="stable")
    return {name: np.asarray(values)[order] for name, values in predictions.items()}
