"""Train and evaluate the same things on one, two and three processes (gloo), and write what came out.

python tests/parallel_runs.py FOLDER CELL…    (one file FOLDER/CELL-WORLD-RANK.pt for each)

The processes are forks of this one, so that the libraries are imported once.
"""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import torch
import yaml
from transformers import TrainerCallback

import hf_tune.proof
from hf_tune.data.draws import Draws
from hf_tune.input_error import InputError, RunStopped
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune
from hf_tune.task import SINGLE_LABEL
from hf_tune.tasks.image_classification import TASK
from hf_tune.training.arguments import build_arguments
from hf_tune.training.objective import Focal, Objective
from hf_tune.training.processes import all_or_none
from hf_tune.training.row_loss import build_row_loss
from hf_tune.training.trainer import FineTuneTrainer
from hf_tune.training.training_data import TrainingData


ROOT = Path(__file__).parents[1]
ROWS = (7, 8, 9, 37)
WORLDS = (1, 2, 3)
PLAIN = Objective()
TOTAL = 6
"""Rows of a step on all processes: the last step of 7 and of 37 rows has one row, and other processes have none."""


class Network(torch.nn.Module):
    """Logits of 2 x 2 pictures through a layer of 16, normalised over the layer, or over the batch before it."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = torch.nn.Linear(12, 16)
        self.norm = torch.nn.LayerNorm(16) if norm == "layer" else torch.nn.Identity()
        self.start = torch.nn.BatchNorm2d(3) if norm == "batch" else torch.nn.Identity()
        self.outer = torch.nn.Linear(16, 3)

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> Any:
        return SimpleNamespace(logits=self.outer(self.norm(self.inner(self.start(pixel_values).flatten(1))).relu()))


class Rows(torch.utils.data.Dataset):
    """Random pictures and labels."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.pictures = torch.randint(0, 256, (count, 3, 2, 2), dtype=torch.uint8, generator=generator)
        self.labels = torch.randint(0, 3, (count,), generator=generator)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        epoch, row = divmod(index, len(self))
        place = {"row": torch.tensor(row), "epoch": torch.tensor(epoch)}
        return {"pixel_values": self.pictures[row], "labels": self.labels[row], **place}


class Gradients(TrainerCallback):
    """Keeps the gradient of every step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        self.steps.append(torch.cat([value.grad.flatten() for value in model.parameters()]))


def train(
    rows: int, norm: str, folder: Path, world: int, parts: int = 1, objective: Objective = PLAIN
) -> dict[str, Any]:
    """Train for two epochs, evaluate, and return what has to agree."""
    labels = Rows(rows).labels.numpy()
    data = TrainingData(
        train=Rows(rows),
        validation=Rows(rows),
        objective=objective,
        row_loss=build_row_loss(objective, SINGLE_LABEL, ("a", "b", "c"), labels),
        preprocess=SimpleNamespace(augment=[]),
        make_draws=Draws,
        label_names=("a", "b", "c"),
    )
    arguments = build_arguments(
        {
            "output_dir": str(folder / f"run-{rows}-{norm}-{world}"),
            "per_device_train_batch_size": TOTAL // world,
            "gradient_accumulation_steps": parts,
            "per_device_eval_batch_size": 2,
            "num_train_epochs": 2,
            "learning_rate": 0.05,
            "optim": "sgd",
            "logging_steps": 1,
            "use_cpu": True,
            "save_strategy": "epoch",
        }
    )
    gradients = Gradients()
    processor = SimpleNamespace(normalise=lambda pictures: pictures.float() / 255)
    trainer = FineTuneTrainer(TASK, Network(norm), processor, arguments, data, [gradients])
    before = trainer.keep_rows(data.validation)
    trainer.train()
    kept = trainer.keep_rows(data.validation)
    history = trainer.state.log_history
    return {
        "gradients": gradients.steps,
        "losses": [entry["loss"] for entry in history if "loss" in entry],
        "train": [entry["train_mean_loss"] for entry in history if "train_mean_loss" in entry],
        "weights": {name: value.clone() for name, value in trainer.model.state_dict().items()},
        "kept": {name: torch.as_tensor(value) for name, value in kept.items()},
        "before": {name: torch.as_tensor(value) for name, value in before.items()},
        "scores": trainer.evaluate(),
    }


def train_all(folder: Path, world: int) -> Any:
    """Train without BatchNorm on every number of rows."""
    found = {rows: train(rows, "layer", folder / "layer", world) for rows in ROWS}
    weighted = Objective(class_weights={"a": 9.0}, focal=Focal())
    found_weighted = train(37, "layer", folder / "weighted", world, parts=2, objective=weighted)
    return {**found, "parts": train(37, "layer", folder / "parts", world, parts=2), "weighted": found_weighted}


def train_batch_norm(folder: Path, world: int) -> Any:
    """Train with BatchNorm, whose statistics are those of each process's rows."""
    return train(37, "batch", folder / "batch", world)


def train_averaged(folder: Path, world: int) -> Any:
    """Train with BatchNorm and keep averages of the weights, which are evaluated."""
    return train(37, "batch", folder / "averaged", world, objective=Objective(ema_decay=0.5))


def fail_to_remove(self: Path) -> None:
    """Stand in for `Path.rmdir`."""
    raise AssertionError(f"a process that is not the first removes {self}")


def run_recipe(folder: Path, world: int) -> Any:
    """Run a recipe to its end; only the first process may take a folder away, which by then may be in use."""
    if world > 1 and os.environ["RANK"] != "0":
        Path.rmdir = fail_to_remove  # type: ignore[method-assign]
    overrides = [
        f"training.output_dir={folder / f'recipe-{world}'}",
        f"training.per_device_train_batch_size={TOTAL // world}",
    ]
    return finetune(load_recipe(folder / "recipe.yaml", overrides))


def run_probe(folder: Path, world: int) -> Any:
    """Train a head on two kept views of each row, computed by all processes; return the vectors too."""
    datasets.config.HF_DATASETS_CACHE = folder / f"cache-{world}"
    overrides = ["peft=probe", "speed.feature_cache=augmented(2)", "training.num_train_epochs=3"]
    overrides += ["preprocess.mixup=null", "preprocess.cutmix=null"]  # views of mixed rows are not kept
    overrides += [f"training.output_dir={folder / f'probe-{world}'}"]
    overrides += [f"training.per_device_train_batch_size={TOTAL // world}", "training.per_device_eval_batch_size=4"]
    finetune(load_recipe(folder / "recipe.yaml", overrides))
    files = sorted((folder / f"cache-{world}" / "hf_tune").glob("features-*"))
    return {file.name: torch.from_numpy(np.load(file)) for file in files}


def stop(recipe: Any, rank: int) -> str:
    """Stop a run in its third step by a signal to one process; return its last words."""
    real = FineTuneTrainer.training_step

    def step(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == 2 and int(os.environ["RANK"]) == rank:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *args, **kwargs)

    FineTuneTrainer.training_step = step  # type: ignore[method-assign]
    try:
        finetune(recipe)
    except RunStopped as stopped:
        return str(stopped)
    finally:
        FineTuneTrainer.training_step = real  # type: ignore[method-assign]
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # the first process has let go of the folder before another one looks
    return "it was not stopped"


def stop_and_resume(folder: Path, world: int) -> Any:
    """Stop a run by a signal to its last process alone, and resume it."""
    overrides = [f"training.output_dir={folder / f'stopped-{world}'}"]
    recipe = load_recipe(
        folder / "recipe.yaml", [*overrides, f"training.per_device_train_batch_size={TOTAL // world}"]
    )
    words = stop(recipe, world - 1)
    return words, finetune(recipe, "resume")


def resume_elsewhere(folder: Path, world: int) -> Any:
    """Stop a run on two processes, and resume it on three: with other rows in a step, and with the same."""
    overrides = [f"training.output_dir={folder / 'moved'}"]
    if world == 1:
        return None
    if world == 2:
        return stop(load_recipe(folder / "recipe.yaml", [*overrides, "training.per_device_train_batch_size=3"]), 0)
    try:
        finetune(load_recipe(folder / "recipe.yaml", [*overrides, "training.per_device_train_batch_size=3"]), "resume")
    except InputError as error:
        words = str(error)
    recipe = load_recipe(folder / "recipe.yaml", [*overrides, "training.per_device_train_batch_size=2"])
    return words, finetune(recipe, "resume")


def run_sharded(folder: Path, world: int) -> Any:
    """Run a recipe with FSDP2 on gloo: accelerate shards over GPUs alone, and is told that the processes have some."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    found = {}
    for method in ("full", "lora"):
        overrides = [f"training.output_dir={folder / f'sharded-{method}-{world}'}", f"peft={method}"]
        overrides += [f"training.per_device_train_batch_size={TOTAL // world}"]
        if world > 1:
            config = yaml.safe_load((ROOT / "accelerate_configs" / "fsdp2.yaml").read_text())["fsdp_config"]
            os.environ.update({name.upper(): str(value) for name, value in config.items()}, ACCELERATE_USE_FSDP="true")
            PartialState._prepare_backend = lambda *args, **kwargs: ("gloo", DistributedType.MULTI_GPU)
            PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))
            overrides += ["training.use_cpu=false"]
        found[method] = finetune(load_recipe(folder / "recipe.yaml", overrides))
    recipe = load_recipe(
        folder / "recipe.yaml", [f"training.output_dir={folder / f'sharded-stopped-{world}'}", *overrides[2:]]
    )
    found["words"] = stop(recipe, 0)
    found["resumed"] = finetune(recipe, "resume")
    return found


def fail_alone(folder: Path, world: int) -> Any:
    """Let one process meet a mistake that the others do not."""
    from hf_tune.training.processes import build_cpu_group

    build_arguments({"output_dir": str(folder), "use_cpu": True})
    try:
        with all_or_none(build_cpu_group()):
            if int(os.environ["RANK"]) == world - 1:
                raise InputError("the disk of this machine is full", "make room", at=("output_dir",))
    except InputError as error:
        return error.problem, error.hint, error.at
    return None


CELLS: dict[str, Callable[[Path, int], Any]] = {
    each.__name__: each
    for each in (
        train_all,
        train_batch_norm,
        train_averaged,
        run_recipe,
        run_probe,
        stop_and_resume,
        resume_elsewhere,
        run_sharded,
        fail_alone,
    )
}


def fork(world: int, cell: str, folder: Path) -> list[int]:
    """Start the processes of one run and return them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child:
            children.append(child)
            continue
        places = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": world,
            "LOCAL_WORLD_SIZE": world,
            "MASTER_PORT": port,
        }
        if world > 1:
            os.environ.update({name: str(value) for name, value in places.items()}, MASTER_ADDR="127.0.0.1")
        os.environ["RANK"] = str(rank)
        code = 1
        try:
            hf_tune.proof._run_child = hf_tune.proof.main  # a fresh process costs 8 s
            torch.save(CELLS[cell](folder, world), folder / f"{cell}-{world}-{rank}.pt")
            code = 0
        except BaseException:  # the fork ends here: nothing else would say why
            traceback.print_exc()
        finally:
            os._exit(code)
    return children


def main(folder: Path, cells: list[str]) -> int:
    """Run every cell on every number of processes; return 0 where all of them ended well."""
    torch.set_num_threads(1)
    failed = 0
    for cell in cells:
        for world in WORLDS:
            failed += sum(os.waitpid(child, 0)[1] != 0 for child in fork(world, cell, folder))
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
