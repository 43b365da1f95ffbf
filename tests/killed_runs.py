"""Kill a run at random moments, resume it each time, and compare what it ends with to a run that was not killed.

python tests/killed_runs.py RECIPE KILLS SEED    (writes a JSON line for each kill; exit code 1 where bits differ)

Each run is a fork of this process, so that the libraries are imported once. A moment is an event of a run that was not
killed: a micro-batch, an evaluation, a file written, brought to the disk, renamed or deleted; some in the middle.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import safetensors.numpy
import torch

import hf_tune.proof
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune
from hf_tune.training.trainer import FineTuneTrainer


class Events:
    """Counts the events of a run and kills it, as `kill -9` does, at the one that was chosen."""

    def __init__(self, fatal: int | None) -> None:
        self.fatal = fatal
        self.names: list[str] = []

    def happen(self, name: str, spoil: Callable[[], Any] | None = None) -> None:
        self.names.append(name)
        if len(self.names) - 1 == self.fatal:
            if spoil is not None:
                spoil()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Make the calls that matter tell of themselves."""
        self._before(FineTuneTrainer, "training_step", "micro-batch")
        self._before(FineTuneTrainer, "evaluation_loop", "evaluation")
        self._before(os, "fsync", "file brought to the disk")
        self._before(os, "replace", "file renamed")
        real_save, real_delete = torch.save, shutil.rmtree

        def save(value: Any, file: Any, *args: Any, **kwargs: Any) -> None:
            real_save(value, file, *args, **kwargs)
            self.happen("file half written", lambda: os.truncate(file, os.path.getsize(file) // 2))

        def delete(path: Any, *args: Any, **kwargs: Any) -> None:
            files = sorted(each for each in Path(path).rglob("*") if each.is_file()) if Path(path).exists() else []
            if "checkpoint" in str(path) and files:
                self.happen("checkpoint half deleted", files[0].unlink)
            real_delete(path, *args, **kwargs)

        torch.save, shutil.rmtree = save, delete

    def _before(self, owner: Any, attribute: str, name: str) -> None:
        real = getattr(owner, attribute)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.happen(name)
            return real(*args, **kwargs)

        setattr(owner, attribute, call)


def run(recipe: Path, folder: Path, mode: Any, fatal: int | None = None) -> int:
    """Run a recipe in a fork of this process, which is killed at an event; return how the fork ended, 0 for well."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    with (folder.parent / f"{folder.name}.txt").open("a") as words, contextlib.suppress(SystemExit):
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
        events = Events(fatal)
        events.watch()
        hf_tune.proof._run_child = hf_tune.proof.main  # a fresh process costs 8 s
        finetune(load_recipe(recipe, [f"training.output_dir={folder}"]), mode)
        Path(f"{folder}.json").write_text(json.dumps(events.names))
        code = 0
    os._exit(code)


def read_bits(folder: Path) -> dict[str, Any]:
    """Return everything that has to be the same: weights, optimisers, predictions, scores."""
    bits: dict[str, Any] = {"splits": json.loads((folder / "results.json").read_text())["splits"]}
    bits["predictions"] = pyarrow.parquet.read_table(folder / "predictions.parquet").to_pydict()
    for file in sorted(folder.rglob("*.safetensors")):
        bits[str(file.relative_to(folder))] = safetensors.numpy.load_file(file)
    for file in sorted(folder.rglob("optimizer.pt")):
        bits[str(file.relative_to(folder))] = torch.load(file, weights_only=True)
    state = json.loads(next(folder.glob("checkpoint-*/trainer_state.json")).read_text())
    bits["best"] = [state["best_metric"], state["best_global_step"], state["stateful_callbacks"]]
    return bits


def find_difference(one: Any, other: Any, path: str = "") -> str | None:
    """Return where two trees of values differ in a bit, None where they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{path}: {sorted(map(str, one.keys() ^ other.keys()))}"
        found = (find_difference(one[key], other[key], f"{path}.{key}") for key in one)
        return next((each for each in found if each), None)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        found = (find_difference(a, b, f"{path}[{n}]") for n, (a, b) in enumerate(zip(one, other, strict=True)))
        return next((each for each in found if each), None)
    if isinstance(one, torch.Tensor | np.ndarray):
        same = np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)
    else:
        same = one == other
    return None if same else f"{path}: {one!r:.80} and {other!r:.80}"


def main(recipe: Path, kills: int, seed: int) -> int:
    """Return 0 where every killed and resumed run ends with the bits of the one that was not."""
    torch.set_num_threads(1)
    work, chosen = recipe.parent, random.Random(seed)
    whole, folder = work / "whole", work / "killed"
    if run(recipe, whole, "new"):
        print((work / "whole.txt").read_text(), file=sys.stderr)
        return 1
    names, expected = json.loads(Path(f"{whole}.json").read_text()), read_bits(whole)
    failed = 0
    for _ in range(kills):
        shutil.rmtree(folder, ignore_errors=True)
        # Half of the moments among the writings, which are few beside the micro-batches of a long run.
        writings = [number for number, name in enumerate(names) if name != "micro-batch"]
        fatal = chosen.choice(writings) if chosen.random() < 0.5 else chosen.randrange(len(names))
        started = time.monotonic()
        killed = run(recipe, folder, "new", fatal)
        again = run(recipe, folder, "resume", chosen.randrange(fatal + 1) if chosen.random() < 0.3 else None)
        code = run(recipe, folder, "resume") if again else 0
        finished = (folder / "results.json").exists()
        difference = find_difference(expected, read_bits(folder)) if finished and code == 0 else "it did not finish"
        report = {"event": fatal, "of": len(names), "name": names[fatal], "killed": killed == signal.SIGKILL}
        print(
            json.dumps(
                {
                    **report,
                    "twice": bool(again),
                    "difference": difference,
                    "seconds": round(time.monotonic() - started, 1),
                }
            ),
            flush=True,
        )
        failed += difference is not None
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])))
