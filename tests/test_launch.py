"""Runs started as users start them: `accelerate launch` with each config, signals to it, and a process that fails.

A launch costs about ten seconds.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch


ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "accelerate_configs"
TWO = ("--config_file", str(CONFIGS / "cpu_multi.yaml"), "--main_process_port", "0")
pytestmark = pytest.mark.slow
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="what is told on a machine without a GPU")


def start(launcher: tuple[str, ...], recipe: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run in a process group of its own."""
    command = [sys.executable, "-m", "accelerate.commands.launch", *launcher, "-m", "hf_tune.run", str(recipe)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    return subprocess.Popen(
        [*command, *arguments],
        env=environment,
        cwd=recipe.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def launch(launcher: tuple[str, ...], recipe: Path, *arguments: str) -> tuple[int, str]:
    """Run to the end and return the exit code and every word.

    The launcher looks for a free port and takes it later: where another process was quicker, it is started again.
    """
    for _ in range(3):
        process = start(launcher, recipe, *arguments)
        words, _ = process.communicate(timeout=300)
        if "EADDRINUSE" not in words:
            break
    return process.returncode, words


def read_results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


@pytest.fixture
def long_recipe(write_recipe: Callable[..., Path]) -> Path:
    """Return a recipe of so many steps that a signal comes in the middle; a line is written after each evaluation."""
    every = "  max_steps: 400\n  eval_strategy: steps\n  eval_steps: 2\n  save_steps: 100"
    return write_recipe(replace=(("  num_train_epochs: 1", every), ("per_device_train_batch_size: 8", BATCH)))


BATCH = "per_device_train_batch_size: 4"


def read_until(process: subprocess.Popen[str], sign: str) -> str:
    """Return what a run said until a sign was in a line."""
    said = ""
    for line in lines(process):
        said += line
        if sign in line:
            return said
    raise AssertionError(said)


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout.readline, "")


def test_two_processes_make_one_run(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """TRAPS A1: accelerate 1.15 starts one process for MULTI_CPU."""
    code, words = launch(TWO, write_recipe(replace=(("per_device_train_batch_size: 8", BATCH),)))
    assert code == 0, words
    results = read_results(tmp_path / "run")
    assert results["environment"]["num_processes"] == 2 and results["proof"]["passed"]
    assert results["steps"] == 3  # 24 rows, 4 on each process
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir() and path.name != "__pycache__") == ["run"]
    assert words.count("proof passed") == words.count("step 3/3") == 1


def test_processes_that_the_launcher_does_not_start_are_refused(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    code, words = launch(("--cpu", "--num_processes", "2"), write_recipe())
    assert code != 0 and "several processes were asked for, and the launcher started one; on CPUs start" in words
    assert "cpu_multi.yaml" in words and not (tmp_path / "run").exists()


@no_gpu
@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("multi_gpu", "Cuda is not available"),
        ("fsdp2", "Cuda is not available"),
        ("deepspeed_zero3", "DeepSpeed is not installed"),
    ],
)
def test_a_gpu_config_without_a_gpu_ends_with_a_message_and_no_folder(
    config: str, told: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """The launcher itself says it, before hf_tune is reached: its last line is the message."""
    launcher = ("--config_file", str(CONFIGS / f"{config}.yaml"), "--main_process_port", "0")
    code, words = launch(launcher, write_recipe(replace=(("  use_cpu: true\n", ""),)))
    assert code != 0 and told in words.splitlines()[-1], words
    assert not (tmp_path / "run").exists()


@no_gpu
def test_sharding_over_two_cpu_processes_is_refused_once(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """TRAPS A3b: accelerate 1.15 leaves the sharding out and says nothing.

    The Trainer of transformers 5.23 makes the folder when it is built, before this can be known: it stays empty.
    """
    launcher = ("--config_file", str(CONFIGS / "fsdp2.yaml"), "--num_processes", "2", "--main_process_port", "0")
    code, words = launch(launcher, write_recipe(replace=(("  use_cpu: true\n", ""),)))
    assert code != 0 and list((tmp_path / "run").glob("*")) == []
    assert words.count("without them use accelerate_configs/cpu_multi.yaml") == 1, words


@pytest.mark.parametrize("config", ["cpu", "single_gpu"])
def test_one_process_runs_on_what_is_there(config: str, write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe(replace=(("  use_cpu: true\n", ""),))
    code, words = launch(("--config_file", str(CONFIGS / f"{config}.yaml")), recipe)
    assert code == 0, words
    results = read_results(tmp_path / "run")
    assert results["environment"]["num_processes"] == 1 and results["proof"]["passed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_says_how_to_go_on_and_the_run_is_resumed(
    number: signal.Signals, long_recipe: Path, tmp_path: Path
) -> None:
    """SIGTERM to one child, as a scheduler or `kill` sends it; Ctrl-C goes to the whole process group."""
    process = start(TWO, long_recipe)
    said = read_until(process, "step 2/400")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        os.kill(find_children(process.pid)[1], number)
    said += "".join(lines(process))
    assert process.wait(timeout=120) == 1, said
    assert ("finishing and saving this step" in said) == (number == signal.SIGINT)  # the first process says it
    stopped = [line for line in said.splitlines() if line.startswith("stopped after step ")]
    assert len(stopped) == 1 and stopped[0].endswith("is whole: start again with --resume"), said
    saved = [path.name for path in (tmp_path / "run").glob("checkpoint-*")]
    assert len(saved) == 1
    step = int(saved[0].rpartition("-")[2])
    code, words = launch(TWO, long_recipe, "--resume", f"training.max_steps={step + 2}")
    assert code == 0, words
    results = read_results(tmp_path / "run")
    assert results["steps"] == step + 2 and results["resumed_from"].endswith(saved[0]) and results["proof"]["passed"]


def find_children(parent: int) -> list[int]:
    """Return the processes that a launcher started, by rank."""
    import psutil

    children = psutil.Process(parent).children(recursive=True)
    ranked = [child for child in children if "hf_tune.run" in child.cmdline() and "RANK" in child.environ()]
    return [child.pid for child in sorted(ranked, key=lambda child: int(child.environ()["RANK"]))]


def test_a_process_that_fails_alone_ends_all_with_its_words(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = write_recipe()
    loader = tmp_path / "tiny_pictures.py"
    failing = (
        '    import os\n\n    if os.environ["RANK"] == "1":\n        raise ValueError("the disk of this machine")\n'
    )
    text = loader.read_text()
    assert text.count('    """Return train, validation and test."""\n') == 1
    loader.write_text(text.replace('test."""\n', f'test."""\n{failing}'))
    code, words = launch(TWO, recipe)
    assert code != 0 and "the disk of this machine" in words
    assert not (tmp_path / "run").exists()


def test_a_misspelt_key_is_told_once(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    code, words = launch(TWO, write_recipe(), "training.learning_rat=1")
    assert code != 0 and words.count("learning_rat:") == 1, words
    assert not (tmp_path / "run").exists()
