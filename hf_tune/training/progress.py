"""What a person sees while a run trains, and log.jsonl."""

import json
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback

from hf_tune.training.checkpoints import write_whole


class Progress(TrainerCallback):
    """A bar with the time left and the current scores on a terminal; one plain line per evaluation elsewhere."""

    def __init__(self) -> None:
        """Start without a bar."""
        self.bar: Any = None
        self.started = 0.0
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the start and, on a terminal, open the bar."""
        self.started, self.first_step = time.monotonic(), state.global_step
        if state.is_world_process_zero and sys.stderr.isatty():
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", dynamic_ncols=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Show the scores of an evaluation, or the running loss."""
        if not state.is_world_process_zero:
            return
        shown = {name: value for name, value in logs.items() if name in _SHOWN}
        text = "  ".join(f"{_SHOWN[name]} {float(value):.4f}" for name, value in shown.items())
        if self.bar is not None:
            self.bar.set_postfix_str(text)
        elif text:
            done = max(state.global_step - self.first_step, 1)
            left = (time.monotonic() - self.started) / done * (state.max_steps - state.global_step)
            line = f"step {state.global_step}/{state.max_steps}  epoch {state.epoch or 0:.1f}  {text}"
            print(f"{line}  at most {_minutes(left)} left", file=sys.stderr, flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


class JsonLog(TrainerCallback):
    """Append each log event to log.jsonl as one JSON line of numbers."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the file with what the checkpoint knows: what a killed run wrote after it will come again."""
        if state.is_world_process_zero:
            Path(args.output_dir).mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(event) + "\n" for event in state.log_history]
            write_whole(Path(args.output_dir, "log.jsonl"), "".join(lines))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Write the newest entry of the history; `logs` itself may hold text made for printing."""
        if state.is_world_process_zero and state.log_history:
            with Path(args.output_dir, "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(state.log_history[-1]) + "\n")


def read_train_cost(file: Path) -> dict[str, float | None]:
    """Return what log.jsonl says last of a training's seconds and rows a second; None where it never ended."""
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    ends = [event for event in events if "train_runtime" in event]
    names = ("train_runtime", "train_samples_per_second")
    return {name: ends[-1].get(name) if ends else None for name in names}


_SHOWN = MappingProxyType(
    {
        "loss": "loss",
        "train_mean_loss": "train loss",
        "train_accuracy": "train accuracy",
        "eval_loss": "validation loss",
        "eval_accuracy": "validation accuracy",
        "train_mae": "train error",
        "eval_mae": "validation error",
        "eval_spearman": "validation Spearman",
        "eval_f1_micro": "validation F1",
    }
)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
