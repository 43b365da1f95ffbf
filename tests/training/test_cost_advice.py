"""What to change so that a step keeps its rows and a device has room for it."""

import dataclasses

import pytest

from hf_tune.training.cost_advice import describe_batch, describe_lack, find_cures, find_processes
from hf_tune.training.cost_model import Workload, estimate_costs
from hf_tune.training.step_memory import StepMemory


WORKLOAD = Workload(
    weights=4000,
    gradients=4000,
    states=8000,
    moved_weights=4000,
    moved_gradients=4000,
    root_weights=0,
    root_gradients=0,
    block_weights=100,
    block_gradients=100,
    embedding_weights=0,
    embedding_gradients=0,
    embedding_rows=0,
    step=StepMemory(with_gradients=20000, activations=20000, uncast_activations=20000),
    accumulation=1,
    is_half=False,
)
SMALL_STEP = StepMemory(with_gradients=4000, activations=40, uncast_activations=40)


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "told"),
    [
        (64, 1, 1, "a step is 64 rows"),
        (8, 4, 1, "a step is 8 rows x 4 micro-batches = 32 rows"),
        (
            64,
            1,
            8,
            "a step is 64 rows x 8 processes = 512 rows, on one process 64, which "
            "training.per_device_train_batch_size=8 training.gradient_accumulation_steps=1 keeps",
        ),
        (
            8,
            6,
            4,
            "a step is 8 rows x 6 micro-batches x 4 processes = 192 rows, on one process 48, which "
            "training.per_device_train_batch_size=6 training.gradient_accumulation_steps=2 keeps",
        ),
        (
            8,
            1,
            3,
            "a step is 8 rows x 3 processes = 24 rows, on one process 8; "
            "3 processes cannot share 8 evenly, so change learning_rate with the batch",
        ),
    ],
)
def test_the_rows_of_a_step_are_told(batch: int, accumulation: int, processes: int, told: str) -> None:
    assert describe_batch(batch, accumulation, processes) == told


def test_the_fewest_processes_that_fit_are_found() -> None:
    # With N processes: (4000 + 8000) / N of weights and states, 20,000 activations, 400 of blocks with gradients.
    assert find_processes(WORKLOAD, 20400 + 12000 // 5) == 5
    assert find_processes(WORKLOAD, 20400 + 6000) == 2
    assert find_processes(WORKLOAD, 20399) is None


def test_activations_that_do_not_fit_name_a_batch_and_what_lowers_them() -> None:
    ddp = estimate_costs(WORKLOAD, 2)[0]
    cures = ["training.activation_checkpointing=true", "training.bf16=true", "peft=lora"]
    # Of 8 rows 4 need 4000 + 8000 + 4000 of buckets, 4000 of gradients and 10,000 of activations.
    told = describe_lack(ddp, WORKLOAD, 8, cures, 2, 30000)
    assert told == (
        "ddp does not fit: its largest part is activations, 0.0 MiB; training.per_device_train_batch_size=4 "
        "training.gradient_accumulation_steps=2 fits, with the same rows in a step; less of it: "
        "training.activation_checkpointing=true, training.bf16=true"
    )
    assert "per_device_train_batch_size=2 training.gradient_accumulation_steps=4" in describe_lack(
        ddp, WORKLOAD, 8, cures, 2, 29999
    )


def test_states_that_do_not_fit_name_an_adapter_and_sharding() -> None:
    workload = dataclasses.replace(WORKLOAD, step=SMALL_STEP)
    ddp, fsdp2, _ = estimate_costs(workload, 2)
    told = describe_lack(ddp, workload, 8, ["training.bf16=true", "peft=lora"], 2, 100)
    assert told == ("ddp does not fit: its largest part is optimiser states, 0.0 MiB; less of it: peft=lora, fsdp2")
    assert "fsdp2, " not in describe_lack(fsdp2, workload, 8, [], 2, 100)


def test_only_what_a_recipe_does_not_use_yet_is_named() -> None:
    every = ["training.activation_checkpointing=true", "training.bf16=true", "peft=lora"]
    assert find_cures({}, can_checkpoint=True, can_adapt=True) == every
    used = {"activation_checkpointing": True, "fp16": True}
    assert find_cures(used, can_checkpoint=True, can_adapt=False) == []
    assert find_cures({}, can_checkpoint=False, can_adapt=False) == ["training.bf16=true"]
