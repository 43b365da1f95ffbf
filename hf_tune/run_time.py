"""How long a recipe takes on this machine: three real steps are timed, and the whole run is reckoned from them.

The network has its real shape and no weights of the checkpoint, which change no time and need not be fetched.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hf_tune.adapter.attach import attach_adapter
from hf_tune.data.draws import Draws
from hf_tune.data.splits import Splits
from hf_tune.input_error import InputError
from hf_tune.recipe.schema import Recipe
from hf_tune.task import Batch, LoadedModel, Task
from hf_tune.training.feature_plan import is_augmented
from hf_tune.training.frozen_body import choose_body, list_bodies
from hf_tune.training.step_plan import count_steps
from hf_tune.training.training_data import count_rows


_STEPS = 3
_LONGEST_STEP = 2.0
"""Seconds; of a batch that takes longer a part is timed."""
_FEW = 4
"""Rows of the steps that warm the machine up."""


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """What was timed, in seconds on one process."""

    encode: float
    """Of a row: read, decoded, resized; or cut into tokens."""
    step: float
    """Of a micro-batch: forward, backward, and the optimiser."""
    forward: float
    """Of a row through the network without gradients."""
    head: float | None
    """Of a micro-batch of vectors, where the layers below the head are frozen and their outputs may be kept."""
    timed_rows: int
    """Of a micro-batch: fewer than the recipe's where that would take long."""
    device: str


@dataclass(frozen=True, kw_only=True)
class RunShape:
    """What a run does how often."""

    micro_batches: int
    """Of all steps."""
    evaluations: int
    train_rows: int
    validation_rows: int
    test_rows: int
    encodes: int
    """How often a row of train is read: once where it is kept."""


def describe_time(recipe: Recipe, task: Task, outline: LoadedModel, splits: Splits) -> list[str]:
    """Return a line on the whole run and one on `peft=probe`; or one that says why nothing was timed."""
    if outline.quantization:
        return ["time: not known: a quantised base is not timed"]
    shape = shape_run(recipe, task, splits)
    try:
        own = time_steps(recipe, task, outline, splits)
        told = [f"time: {_tell(recipe, own, shape)}"]
        if recipe.peft == "probe" or not outline.pretrained:
            return told
        probe = time_steps(dataclasses.replace(recipe, peft="probe"), task, outline, splits)
    except InputError as error:
        return [f"time: not known: {error.problem}"]
    except torch.OutOfMemoryError:
        return ["time: not known: the step does not fit this machine; see the line on memory"]
    return [*told, f"time of peft=probe: {_tell_probe(probe, shape)}"]


def shape_run(recipe: Recipe, task: Task, splits: Splits) -> RunShape:
    """Return how often the run does what, by its recipe; early stopping is left out."""
    training, num_rows = recipe.training, count_rows(splits.train)
    batch, accumulation = (
        training.get("per_device_train_batch_size", 8),
        training.get("gradient_accumulation_steps", 1),
    )
    epochs, most = training.get("num_train_epochs", 3), training.get("max_steps", -1)
    if num_rows is None:
        steps, per_epoch, num_rows = most, most, most * batch * accumulation
    else:
        plan = count_steps(math.ceil(num_rows / batch), accumulation, epochs, most)
        steps, per_epoch = plan.steps, plan.steps_per_epoch
    strategy = training.get("eval_strategy", "epoch")
    every = training.get("eval_steps") or training.get("logging_steps") or 500
    every = every * steps if every < 1 else every
    counts = {"no": 0, "epoch": math.ceil(steps / per_epoch), "steps": int(steps // every)}
    is_kept = task.encode_rows is not None or recipe.speed.decoded_cache
    return RunShape(
        micro_batches=steps * accumulation,
        evaluations=counts.get(str(strategy), 0),
        train_rows=min(num_rows, steps * accumulation * batch),
        validation_rows=len(splits.validation),
        test_rows=0 if splits.test is None else len(splits.test),
        encodes=1 if is_kept else math.ceil(steps / per_epoch),
    )


def estimate_run(times: StepTimes, shape: RunShape) -> float:
    """Return the seconds of a run whose every epoch passes the whole network."""
    reading = times.encode * (shape.train_rows * shape.encodes + shape.validation_rows + shape.test_rows)
    evaluated = shape.validation_rows * (shape.evaluations + 1) + shape.test_rows
    return reading + shape.micro_batches * times.step + evaluated * times.forward


def estimate_features(times: StepTimes, shape: RunShape) -> float:
    """Return the seconds of a run whose rows pass the frozen layers once, and whose epochs pass the head alone."""
    if times.head is None:
        return estimate_run(times, shape)
    reading = times.encode * (shape.train_rows + shape.validation_rows + shape.test_rows)
    passed = shape.train_rows + 2 * shape.validation_rows + shape.test_rows  # at the end the whole network scores
    return reading + passed * times.forward + shape.micro_batches * times.head


def format_seconds(seconds: float) -> str:
    """Return a time in the unit that one would say it in."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def time_steps(recipe: Recipe, task: Task, outline: LoadedModel, splits: Splits) -> StepTimes:
    """Return the times of steps on real rows, after a warm-up; nothing is written, and no weight is fetched."""
    source = dataclasses.replace(recipe.model, pretrained=False, problem_type=splits.problem_type)
    loaded = task.load_model(source, recipe.preprocess, splits.label_names)
    # Frozen layers are those that would be frozen with the checkpoint's weights in them.
    loaded = dataclasses.replace(loaded, pretrained=outline.pretrained, new_layers=outline.new_layers)
    use_gpu = torch.cuda.is_available() and not recipe.training.get("use_cpu")
    device = torch.device("cuda" if use_gpu else "cpu")
    model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type).to(device)
    clock = _Clock(recipe=recipe, task=task, processor=loaded.processor, model=model, device=device)
    size = int(recipe.training.get("per_device_train_batch_size", 8))
    examples, encode = _read_rows(task, loaded.processor, splits, size)
    batches = [clock.collate(rows) for rows in _share_out(task, examples, size)]
    few = {name: value[:_FEW] for name, value in batches[0].items()}
    clock.train(few)
    expected = clock.train(few) * size / len(few["row"])
    rows = max(_FEW, int(size * min(1.0, _LONGEST_STEP / max(expected, 1e-9))))
    parts = [{name: value[:rows] for name, value in batch.items()} for batch in batches]
    counted = sum(len(part["row"]) for part in parts)
    seconds = [clock.train(part) for part in parts]
    forward = sum(clock.pass_through(part) for part in parts) / counted
    return StepTimes(
        encode=encode,
        step=sum(seconds) / counted * size,
        forward=forward,
        head=clock.time_head(parts[0], size),
        timed_rows=min(rows, size),
        device=device.type,
    )


@dataclass(kw_only=True)
class _Clock:
    """A network and its optimiser, and how long they take for a batch."""

    recipe: Recipe
    task: Task
    processor: Any
    model: Any
    device: torch.device

    def __post_init__(self) -> None:
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.trained = trained
        self.optimiser = torch.optim.AdamW(trained, lr=0.0)  # the weights stay finite, and the work is the same
        self.smoothing = self.recipe.training.get("label_smoothing_factor", 0.0)

    def collate(self, examples: Sequence[Any]) -> Batch:
        """Return a batch with the numbers of its rows, which draws are keyed by."""
        batch = self.task.collate(examples, self.processor)
        batch = {**batch, "row": torch.arange(len(examples)), "epoch": torch.zeros(len(examples), dtype=torch.int64)}
        return {name: value.to(self.device) for name, value in batch.items()}

    def train(self, batch: Batch) -> float:
        """Return the seconds of a step."""
        self.model.train()
        draws = Draws(0, 0, batch["row"].cpu().numpy())
        return self._time(lambda: self._step(self.task.augment(batch, self.recipe.preprocess, draws), None))

    @torch.no_grad()
    def pass_through(self, batch: Batch) -> float:
        """Return the seconds of a forward pass as evaluation makes it."""
        self.model.eval()
        return self._time(lambda: self._forward(batch, None))

    def time_head(self, batch: Batch, size: int) -> float | None:
        """Return the seconds of a step of `size` vectors through what trains; None where no vectors are kept."""
        bodies = [] if self.recipe.speed.feature_cache == "off" else list_bodies(self.model)
        augments = is_augmented(self.task, self.recipe.preprocess, lambda epoch, rows: Draws(0, epoch, rows), batch)
        if not bodies or (augments and not self.recipe.speed.num_views):
            return None
        inputs = self.task.build_inputs(batch, self.processor, self.model)
        body = choose_body(self.model, bodies, inputs, batch)
        if body is None:
            return None
        with torch.no_grad(), body.reading() as read:
            self.model(**inputs)
            vectors = read(batch)
        self.model.train()
        with body.replaced():
            given = body.build_inputs(vectors)
            self._time(lambda: self._step(batch, given))
            return (
                sum(self._time(lambda: self._step(batch, given)) for _ in range(_STEPS)) / _STEPS * size / len(vectors)
            )

    def _step(self, batch: Batch, inputs: Batch | None) -> None:
        self.optimiser.zero_grad()
        self.task.loss(self._forward(batch, inputs), batch, self.smoothing).mean().backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()

    def _forward(self, batch: Batch, inputs: Batch | None) -> Any:
        training = self.recipe.training
        half = torch.bfloat16 if training.get("bf16") else torch.float16
        is_half = bool(training.get("bf16") or training.get("fp16"))
        with torch.autocast(self.device.type, dtype=half, enabled=is_half):
            return self.model(**(inputs or self.task.build_inputs(batch, self.processor, self.model)))

    def _time(self, work: Callable[[], Any]) -> float:
        self._wait()
        start = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _read_rows(task: Task, processor: Any, splits: Splits, size: int) -> tuple[list[Any], float]:
    """Return encoded rows, spread over train, for the steps; and the seconds that one took to encode."""
    rows: Any = getattr(splits.train, "head", splits.train)
    wanted = min(len(rows), _STEPS * size)
    numbers = [number * len(rows) // wanted for number in range(wanted)]
    start = time.perf_counter()
    encoded = [task.encode(rows[number], processor) for number in numbers]
    return encoded, (time.perf_counter() - start) / wanted


def _share_out(task: Task, examples: Sequence[Any], size: int) -> list[list[Any]]:
    """Return three batches: texts of about one length come together, as in training."""
    if task.encode_rows is not None:
        examples = sorted(examples, key=lambda example: len(example["input_ids"]))
    examples = [examples[number % len(examples)] for number in range(max(len(examples), size))]
    starts = [(len(examples) - size) * number // (_STEPS - 1) for number in range(_STEPS)]
    return [list(examples[start : start + size]) for start in starts]


def _tell(recipe: Recipe, times: StepTimes, shape: RunShape) -> str:
    size = recipe.training.get("per_device_train_batch_size", 8)
    timed = f"{size} rows" if times.timed_rows == size else f"{size} rows, of which {times.timed_rows} were timed"
    if times.head is not None:
        return _tell_probe(times, shape)
    what = f"{_STEPS} steps of {timed} took {times.step:.2g} s each, evaluations {1 / times.forward:,.0f} rows/s"
    return f"at most about {format_seconds(estimate_run(times, shape))} on this machine ({times.device}); {what}"


def _tell_probe(times: StepTimes, shape: RunShape) -> str:
    told = f"at most about {format_seconds(estimate_features(times, shape))} on this machine ({times.device})"
    if times.head is None:
        return f"{told}; every epoch passes all layers"
    rate = f"the frozen layers once at {1 / times.forward:,.0f} rows/s"
    return f"{told}; {rate}, then the head at {times.head * 1000:.2g} ms a step"
