"""The one Trainer subclass: the task's own loss, per-row evaluation, keyed randomness, checkpoints that are whole."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback
from transformers.trainer_utils import EvalLoopOutput

from hf_tune.input_error import RunStopped
from hf_tune.task import Batch, Example, Kept, Task
from hf_tune.training.batch_fit import fit_batch_size
from hf_tune.training.batch_sampler import EpochLoader, EvaluationSampler, build_loader, share_rows
from hf_tune.training.checkpoints import UNFINISHED, name_best, write_checkpoint
from hf_tune.training.failures import explain_loss, explained, say_how_to_go_on
from hf_tune.training.feature_cache import kept_features
from hf_tune.training.feature_plan import FeaturePlan
from hf_tune.training.gradient_check import GradientCheck
from hf_tune.training.interruption import Interruption
from hf_tune.training.kept_rows import KeptRows, put_in_order
from hf_tune.training.objective import build_optimizer, find_decaying
from hf_tune.training.partners import change_rows
from hf_tune.training.processes import add_up, average_statistics, build_cpu_group, gather_parts, settle_buckets
from hf_tune.training.progress import JsonLog, Progress
from hf_tune.training.restoring import load_weights, restore_end
from hf_tune.training.row_loss import lose_rows
from hf_tune.training.seeding import seed_micro_step
from hf_tune.training.sharding import choose_blocks, is_sharded
from hf_tune.training.step_overhead import lighten_steps, release_network, settle_network
from hf_tune.training.step_plan import has_all_steps, plan_steps
from hf_tune.training.stream_sampler import build_training_sampler
from hf_tune.training.train_scores import LossWatch, TrainScores, count_broken
from hf_tune.training.training_data import TrainingData, count_rows
from hf_tune.training.weight_average import build_average, reading_weights, settle_average


logger = logging.getLogger(__name__)


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
        self.train_scores = TrainScores()
        self.loss_watch = LossWatch()
        self.resumed_from: str | None = None
        self.cpu_group: Any = None
        self.interruption = Interruption()
        self.must_stop = False
        self.writes_aside = False
        self.micro_step = (0, 0)
        self.feature_plan = FeaturePlan()
        super().__init__(
            model=model,
            args=args,
            data_collator=self._collate,
            train_dataset=data.train,
            eval_dataset=data.validation,
            callbacks=[GradientCheck(), JsonLog(), Progress(), *callbacks],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # count the rows of the accumulated batch; do not divide by its parts
        self.cpu_group = build_cpu_group()
        choose_blocks(self)
        lighten_steps(self)
        self.average = build_average(self)

    def train(self, resume_from_checkpoint: str | None = None, **kwargs: Any) -> Any:
        """Train as `transformers.Trainer` does, and remember what it started from.

        A checkpoint that needs no further step is restored: with it transformers 5.23 would take one step too many.
        Raises `RunStopped` where memory, the disk, a worker, another process or a signal ends the run.
        """
        self.resumed_from = resume_from_checkpoint
        with explained(self):
            if self.args.auto_find_batch_size and (change := fit_batch_size(self)):
                self._note(change)
            plan = plan_steps(self.args, count_rows(self.data.train))
            if resume_from_checkpoint and has_all_steps(Path(resume_from_checkpoint), plan):
                return restore_end(self, resume_from_checkpoint)
            with self.interruption, kept_features(self, self.feature_plan):
                trained = super().train(resume_from_checkpoint, **kwargs)
        release_network(self)
        settle_average(self)
        average_statistics(self.model)
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint is None:
            self._note(
                f"No evaluation gave a finite {self.args.metric_for_best_model}: the last step is what is saved."
            )
        return trained

    def keep_rows(self, split: Any) -> Kept:
        """Return what the task keeps of every row of an encoded split, in data-set order, with `loss` and `labels`.

        Every process keeps its part and gets all of them; raises `RuntimeError` where a row is missing or there twice.
        """
        self.model.eval()
        loader = self.get_eval_dataloader(split)
        rows = KeptRows(len(loader) * self.args.eval_batch_size)
        for batch in loader:
            _, kept, _ = self.prediction_step(self.model, batch, prediction_loss_only=False)
            if int(batch["epoch"][0]) >= 0:
                rows.add(kept)
        return put_in_order(gather_parts(rows.read(), self.cpu_group), len(split))

    def evaluation_loop(self, dataloader: Any, description: str, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Return the scores of the rows of a loader, each row counted once whatever the processes and batches."""
        kept = self.keep_rows(dataloader.dataset)
        scores = self.task.metrics(kept, self.data.label_names)
        values = {
            "loss": float(kept["loss"].mean(dtype=np.float64)),
            **{name: score.value for name, score in scores.items()},
        }
        metrics = {f"{kwargs.get('metric_key_prefix', 'eval')}_{name}": value for name, value in values.items()}
        return EvalLoopOutput(
            predictions=kept, label_ids=kept["labels"], metrics=metrics, num_samples=len(kept["row"])
        )

    def training_step(self, model: Any, inputs: Batch, num_items_in_batch: Any = None) -> torch.Tensor:
        """Return the loss of a micro-batch after its gradients were added; its randomness depends on where it stands.

        Raises `RunStopped` for a loss that is not finite.
        """
        seed_micro_step(self)
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.loss_watch.note(loss, self.state.global_step + 1)
        if loss.device.type == "cpu":  # elsewhere reading it would wait for the device
            self._check_loss(self.loss_watch.read())
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a micro-batch, scaled so that those of a step add up to the mean over its rows."""
        epoch = int(inputs["epoch"][0])
        is_filler = epoch < 0
        if is_filler:  # the other processes wait for its gradients, which are zero
            model.eval()
            epoch = -1 - epoch
        has_features = "features" in inputs
        batch = inputs if has_features else change_rows(self.task, self.data, inputs, self.args.seed, epoch)
        outputs = model(**self._build_inputs(batch))
        smoothing = self.args.label_smoothing_factor
        losses, plain = lose_rows(self.task.loss, self.data.row_loss, outputs, batch, smoothing)
        scores = {**self.task.row_scores(outputs, batch), "mean_loss": plain}
        if is_filler:
            losses, scores = losses * 0, {name: values * 0 for name, values in scores.items()}
        num_rows = 0 if is_filler else len(losses)
        self.train_scores.add(scores, num_rows)
        count = num_rows if num_items_in_batch is None else num_items_in_batch
        # DDP and FSDP average over processes what is a sum here.
        loss = losses.sum() / count * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: Batch, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, Batch, torch.Tensor]:
        """Return what the task keeps of each row, with the row's own loss: no mean of means over batches."""
        batch = self._prepare_inputs(inputs)
        with torch.inference_mode(), self.compute_loss_context_manager():
            outputs = model(**self._build_inputs(batch))
            losses = self.task.loss(outputs, batch, 0.0)
            kept = self.task.keep_per_row(outputs, batch, self.data.problem_type)
        kept = {**kept, "loss": losses, "labels": batch["labels"], "row": batch["row"]}
        return None, kept, batch["labels"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the scores on the training batches since the last evaluation to the entry of an evaluation."""
        if "eval_loss" in logs:
            logs |= self.train_scores.take(self.accelerator)
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimiser; where the objective gives rates of their own, one group of parameters for each."""
        if getattr(self, "optimizer", None) is None and self.data.objective.has_rates:
            self.optimizer = build_optimizer(self, self.model if model is None else model)
        return super().create_optimizer(model)

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """Return the parameters that decay: no norms, no biases, unless the objective says so."""
        return find_decaying(super().get_decay_parameter_names(model), model, self.data.objective)

    def get_train_dataloader(self) -> EpochLoader:
        """Return this process's part of the training rows; accelerate would repeat rows to even out the parts."""
        sampler = build_training_sampler(self.train_dataset, share_rows(self.args), self.args)
        return build_loader(self.train_dataset, sampler, self._collate, self.args)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> EpochLoader:
        """Return this process's part of a split, the longest rows first where lengths differ."""
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        share = replace(share_rows(self.args), batch_size=self.args.eval_batch_size)
        sampler = EvaluationSampler(len(rows), share, getattr(rows, "lengths", None))
        return build_loader(rows, sampler, self._collate, self.args)

    get_test_dataloader = get_eval_dataloader

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if is_sharded(self) or not load_weights(self.model, Path(resume_from_checkpoint)):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average is not None:
            self.average.resume(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        if is_sharded(self) or not load_weights(self.model, Path(str(self.state.best_model_checkpoint))):
            super()._load_best_model()

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, model: Any, *args: Any, **kwargs: Any) -> None:
        saves = self.control.should_save
        reads_weights = self.control.should_evaluate or saves or self.must_stop
        if self.control.should_log or reads_weights:
            self._check_loss(self.loss_watch.read())
        with reading_weights(self) if reads_weights else contextlib.nullcontext():
            super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, *args, **kwargs)
            if self.must_stop and not saves:
                self._save_checkpoint(model, None)
        if self.must_stop:
            if not self.is_world_process_zero():
                raise RunStopped("")  # the first process says it for all
            step = self.state.global_step
            raise RunStopped(f"stopped after step {step}", say_how_to_go_on(Path(self.args.output_dir)))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        broken = add_up([count_broken(self.model)], self.cpu_group)[0]
        self._check_loss(self.state.global_step if broken else None)
        write_checkpoint(self, lambda: super(FineTuneTrainer, self)._save_checkpoint(model, trial))

    def _check_loss(self, step: int | None) -> None:
        """Raise `RunStopped` where a step is given: the first whose loss, or whose weights, were not finite."""
        if step is not None:
            raise explain_loss(step, self._get_learning_rate(), Path(self.args.output_dir))

    def _get_output_dir(self, trial: Any) -> str:
        return str(Path(self.args.output_dir, UNFINISHED)) if self.writes_aside else self.args.output_dir

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        """Return where training goes on; the best checkpoint is looked for where the run's folder is now."""
        started = super()._init_training_state(*args, **kwargs)
        self.state.best_model_checkpoint = name_best(Path(self.args.output_dir), self.state)
        return started

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        model, loader = super()._prepare_for_training(*args, **kwargs)
        settle_buckets(self, model)
        settle_network(self, model)
        return model, loader

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> int:
        """Return the rows of a step on all processes; on the way they agree whether a signal has asked to stop."""
        rows = sum(len(batch["epoch"]) for batch in batch_samples if batch["epoch"][0] >= 0)
        total, wishes = add_up([rows, self.interruption.asked], self.cpu_group)
        self.must_stop = wishes > 0
        return total

    def _note(self, note: str) -> None:
        logger.warning(note)
        self.data = replace(self.data, notes=(*self.data.notes, note))

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        """Return a batch on the device, but for where its rows stand: to read that there would wait for the device."""
        place = {name: inputs[name] for name in ("row", "epoch", "partner_row") if name in inputs}
        return super()._prepare_inputs({name: inputs[name] for name in inputs if name not in place}) | place

    def _build_inputs(self, batch: Batch) -> Batch:
        """Return what the network takes: the features of rows where they are kept, else the rows."""
        if "features" in batch:
            assert self.feature_plan.body is not None
            return self.feature_plan.body.build_inputs(batch["features"])
        return self.task.build_inputs(batch, self.encoder, self.model)

    def _collate(self, examples: Batch | Sequence[Example]) -> Batch:
        """Return one batch; splits whose rows all have one shape give it whole (`__getitems__`)."""
        return examples if isinstance(examples, dict) else self.task.collate(examples, self.encoder)
