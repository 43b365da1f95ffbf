"""One process and several agree; `parallel_runs.py` runs them."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet
import pytest
import safetensors.torch
import torch

from hf_tune.input_error import InputError
from hf_tune.training.processes import (
    add_up,
    all_or_none,
    average_statistics,
    check_launch,
    check_processes,
    check_sharding,
    gather_parts,
)


PROGRAM = Path(__file__).parents[1] / "parallel_runs.py"
WORLDS = (1, 2, 3)
several = pytest.mark.parametrize("world", [2, 3])


class Runs:
    """What `parallel_runs.py` wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, cell: str, world: int, rank: int = 0) -> Any:
        return torch.load(self.folder / f"{cell}-{world}-{rank}.pt", weights_only=False)


def run_cells(folder: Path, *cells: str) -> Runs:
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(folder), *cells]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-20000:]
    return Runs(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return the runs of plain networks on one, two and three processes."""
    return run_cells(
        tmp_path_factory.mktemp("parallel"), "train_all", "train_batch_norm", "train_averaged", "fail_alone"
    )


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, str], tiny_loader: str) -> Runs:
    """Return runs of a whole recipe: a ViT, which normalises over layers, with augmentation and mixed rows."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "tiny_pictures.py").write_text(tiny_loader)
    (folder / "recipe.yaml").write_text(RECIPE.format(model=tiny_checkpoints["vit"]))
    return run_cells(folder, "run_recipe", "run_probe", "stop_and_resume", "resume_elsewhere")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, str], tiny_loader: str) -> Runs:
    """Return runs of the same recipe whose network is cut over the processes."""
    folder = tmp_path_factory.mktemp("sharded")
    (folder / "tiny_pictures.py").write_text(tiny_loader)
    (folder / "recipe.yaml").write_text(RECIPE.format(model=tiny_checkpoints["vit"]))
    return run_cells(folder, "run_sharded")


RECIPE = """\
task: image_classification
model:
  pretrained_model_name_or_path: {model}
data:
  load:
    path: tiny_pictures:load
    rows: 37
preprocess:
  augment: [random_crop, horizontal_flip, {{color_jitter: {{brightness: 0.2, hue: 0.1}}}}, random_erasing]
  mixup: {{alpha: 0.4}}
  cutmix: {{alpha: 1.0}}
  crop_mode: squash
peft: full
early_stopping:
  metric: loss
training:
  output_dir: replaced
  num_train_epochs: 2
  learning_rate: 1e-3
  seed: 0
  use_cpu: true
"""


@several
@pytest.mark.parametrize("rows", [7, 8, 9, 37, "parts", "weighted"])
def test_losses_and_gradients_of_every_step_are_those_of_one_process(rows: Any, world: int, runs: Runs) -> None:
    """TRAPS A4b: with accelerate 1.15 the gradient of the last batch is off by 0.2."""
    alone = runs.read("train_all", 1)[rows]
    assert len(alone["gradients"]) == {7: 4, 8: 4, 9: 4, 37: 14, "parts": 8, "weighted": 8}[rows]
    for rank in range(world):
        each = runs.read("train_all", world, rank)[rows]
        assert each["losses"] == pytest.approx(alone["losses"], rel=1e-6)
        for mine, theirs in zip(each["gradients"], alone["gradients"], strict=True):
            assert (mine - theirs).norm() <= 1e-6 * theirs.norm()


@several
@pytest.mark.parametrize("rows", [7, 8, 9, 37])
def test_every_row_is_evaluated_once_in_the_order_of_the_data(rows: int, world: int, runs: Runs) -> None:
    """TRAPS T1, T2: the plain Trainer's loss is a mean of means, or that many times too large."""
    alone = runs.read("train_all", 1)[rows]
    first = runs.read("train_all", world, 0)[rows]
    for rank in range(world):
        each = runs.read("train_all", world, rank)[rows]
        assert each["kept"]["row"].tolist() == list(range(rows))
        assert all(torch.equal(each["kept"][name], first["kept"][name]) for name in first["kept"])
        assert torch.allclose(each["kept"]["loss"], alone["kept"]["loss"], atol=1e-5)
        assert each["scores"]["eval_loss"] == pytest.approx(float(each["kept"]["loss"].double().mean()), rel=1e-12)
        # One network with the same weights: the same to the last bit.
        assert all(torch.equal(each["before"][name], alone["before"][name]) for name in alone["before"])


@several
def test_batch_norm_uses_each_processs_rows_and_ends_the_same_on_all(world: int, runs: Runs) -> None:
    """TRAPS A4d: with transformers 5.23 the processes end with different buffers."""
    first = runs.read("train_batch_norm", world, 0)["weights"]
    for rank in range(world):
        weights = runs.read("train_batch_norm", world, rank)["weights"]
        assert all(torch.equal(weights[name], first[name]) for name in first)
    alone = runs.read("train_batch_norm", 1)["weights"]
    assert torch.allclose(first["start.running_mean"], alone["start.running_mean"], atol=0.05)
    assert not torch.equal(first["start.running_mean"], torch.zeros(3))


@several
def test_averages_of_the_weights_are_the_same_on_all(world: int, runs: Runs) -> None:
    first = runs.read("train_averaged", world, 0)
    alone = runs.read("train_averaged", 1)["weights"]
    for rank in range(world):
        each = runs.read("train_averaged", world, rank)
        assert all(torch.equal(each["weights"][name], first["weights"][name]) for name in first["weights"])
        assert all(torch.equal(each["kept"][name], first["kept"][name]) for name in first["kept"])
    assert torch.allclose(first["weights"]["start.running_mean"], alone["start.running_mean"], atol=0.05)


@several
def test_a_mistake_of_one_process_is_raised_by_all(world: int, runs: Runs) -> None:
    told = ("the disk of this machine is full", "make room", ("output_dir",))
    assert [runs.read("fail_alone", world, rank) for rank in range(world)] == [told] * world


@several
def test_a_recipe_ends_with_the_weights_and_rows_of_one_process(world: int, recipes: Runs) -> None:
    alone, mine = (recipes.folder / f"recipe-{each}" for each in (1, world))
    weights, expected = (safetensors.torch.load_file(each / "model.safetensors") for each in (mine, alone))
    assert all(torch.allclose(weights[name], expected[name], atol=1e-4) for name in expected)
    tables = [pyarrow.parquet.read_table(each / "predictions.parquet").to_pydict() for each in (mine, alone)]
    assert all(tables[0][name] == tables[1][name] for name in ("id", "label", "prediction"))
    results = recipes.read("run_recipe", world)
    assert results["proof"]["passed"] and results["environment"]["num_processes"] == world


@pytest.mark.parametrize("world", WORLDS)
def test_a_signal_to_one_process_stops_all_and_the_resumed_run_ends_with_the_same_bits(
    world: int, recipes: Runs
) -> None:
    words = [recipes.read("stop_and_resume", world, rank)[0] for rank in range(world)]
    assert "stopped after step 4; " in words[0] and "is whole: start again with --resume" in words[0]
    assert words[1:] == [""] * (world - 1)  # said once
    one, other = (
        safetensors.torch.load_file(recipes.folder / f"{name}-{world}" / "model.safetensors")
        for name in ("recipe", "stopped")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@several
def test_processes_compute_features_together_and_learn_the_same_from_them(world: int, recipes: Runs) -> None:
    alone, mine = recipes.read("run_probe", 1), recipes.read("run_probe", world, world - 1)
    assert sorted(alone) == sorted(mine) and len(alone) == 2
    assert all(torch.equal(vectors, mine[name]) and bool(vectors.any(2).all()) for name, vectors in alone.items())
    heads = [
        safetensors.torch.load_file(recipes.folder / f"probe-{each}" / "model.safetensors") for each in (1, world)
    ]
    assert all(torch.allclose(value, heads[1][name], atol=1e-6) for name, value in heads[0].items())


def test_more_processes_resume_a_run_where_the_rows_of_a_step_stay(recipes: Runs) -> None:
    assert "is whole: start again with --resume" in recipes.read("resume_elsewhere", 2)
    words, results = recipes.read("resume_elsewhere", 3)
    assert "the run took 6 rows a step on 2 processes, and this one would take 9 on 3; change `per_device" in words
    assert results["environment"]["num_processes"] == 3 and results["proof"]["passed"]
    moved, alone = (
        safetensors.torch.load_file(recipes.folder / name / "model.safetensors") for name in ("moved", "recipe-1")
    )
    assert all(torch.allclose(moved[name], alone[name], atol=1e-4) for name in alone)


@pytest.mark.slow
@several
@pytest.mark.parametrize(("method", "file"), [("full", "model"), ("lora", "adapter_model")])
def test_a_network_cut_over_processes_ends_as_one_that_is_whole(
    method: str, file: str, world: int, sharded: Runs
) -> None:
    """FSDP2 with what accelerate_configs/fsdp2.yaml says: training, best checkpoint, weights put together, proof."""
    weights, expected = (
        safetensors.torch.load_file(sharded.folder / f"sharded-{method}-{each}" / f"{file}.safetensors")
        for each in (world, 1)
    )
    assert weights.keys() == expected.keys()
    assert all(torch.allclose(weights[name], expected[name], atol=1e-5) for name in expected)
    found = sharded.read("run_sharded", world)
    assert found[method]["proof"]["passed"]
    assert "is whole: start again with --resume" in found["words"] and found["resumed"]["proof"]["passed"]
    whole, resumed = (
        safetensors.torch.load_file(sharded.folder / f"sharded-{name}-{world}" / "model.safetensors")
        for name in ("full", "stopped")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_launcher_that_was_asked_for_several_and_started_one_is_noticed() -> None:
    """TRAPS A1: `distributed_type: MULTI_CPU, num_processes: 2` silently runs one process."""
    launched = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}
    with pytest.raises(
        InputError, match=r"several processes were asked for, and the launcher started one; .*cpu_multi"
    ):
        check_launch(launched)
    for fine in ({}, {"MASTER_ADDR": "x"}, {"ACCELERATE_MIXED_PRECISION": "no"}, {**launched, "LOCAL_RANK": "0"}):
        check_launch(fine)


def test_processes_that_do_not_know_each_other_are_noticed() -> None:
    """TRAPS A2: two independent runs, each of which takes itself for the first process."""
    check_processes(SimpleNamespace(world_size=2), {"WORLD_SIZE": "2"})
    check_processes(SimpleNamespace(world_size=1), {})
    with pytest.raises(InputError, match="2 processes were started, and each of them runs alone"):
        check_processes(SimpleNamespace(world_size=1), {"WORLD_SIZE": "2"})


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_sharding_that_would_not_happen_is_noticed(kind: str) -> None:
    """TRAPS A3b: without a GPU the sharding of the config is silently left out."""
    asked = {f"ACCELERATE_USE_{kind}": "true"}
    accelerator = SimpleNamespace(
        distributed_type=SimpleNamespace(value="MULTI_CPU"), device=torch.device("cpu"), num_processes=2
    )
    with pytest.raises(InputError, match=f"{kind} was asked for and cannot shard on cpu with 2 processes"):
        check_sharding(accelerator, asked)
    check_sharding(accelerator, {})
    accelerator.distributed_type.value = kind
    check_sharding(accelerator, asked)


def test_one_process_alone_needs_no_group() -> None:
    assert add_up([3, 0], None) == [3, 0] and gather_parts("x", None) == ["x"]
    with pytest.raises(InputError, match="full; make room"), all_or_none(None):
        raise InputError("full", "make room")
    model = torch.nn.BatchNorm1d(2)
    average_statistics(model)
    assert model.running_mean.tolist() == [0.0, 0.0]
