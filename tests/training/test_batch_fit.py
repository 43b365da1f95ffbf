"""The largest batch that fits: the total batch stays, and nothing of the trial remains."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hf_tune.input_error import InputError
from hf_tune.training.batch_fit import fit_batch_size


def hold(limit: int) -> Callable[..., float]:
    """Return what lets a network run out of memory above so many rows."""

    def before_forward(network: torch.nn.Module, rows: int) -> float:
        if network.training and rows > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return 1.0

    return before_forward


@pytest.mark.parametrize(
    ("asked", "parts", "limit", "size", "total_parts"),
    [(8, 1, 8, 8, 1), (8, 1, 7, 4, 2), (8, 3, 1, 1, 24), (12, 1, 5, 4, 3), (12, 2, 11, 6, 4), (7, 2, 6, 1, 14)],
)
def test_the_batch_is_the_largest_divisor_that_fits_and_the_total_stays(
    asked: int, parts: int, limit: int, size: int, total_parts: int, build_tiny: Callable[..., Any]
) -> None:
    options = {"per_device_train_batch_size": asked, "gradient_accumulation_steps": parts}
    trainer = build_tiny(hold(limit), auto_find_batch_size=True, **options)
    told = fit_batch_size(trainer)
    arguments = trainer.args
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (size, total_parts)
    assert size * total_parts == asked * parts and trainer._train_batch_size == size
    assert not arguments.auto_find_batch_size
    expected = f"{asked} rows at once do not fit into memory: {size} do, {total_parts} times a step."
    assert told == (None if size == asked else expected)


def test_training_is_that_of_a_run_that_was_given_these_numbers(build_tiny: Callable[..., Any]) -> None:
    found = build_tiny(hold(3), auto_find_batch_size=True, save_strategy="no")
    found.train()
    given = build_tiny(per_device_train_batch_size=2, gradient_accumulation_steps=4, save_strategy="no")
    given.train()
    assert found.state.global_step == given.state.global_step == 6
    weights = given.model.state_dict()
    for name, value in found.model.state_dict().items():
        assert torch.allclose(value.double(), weights[name].double(), atol=1e-6), name
    assert found.data.notes == ("8 rows at once do not fit into memory: 2 do, 4 times a step.",)


def test_nothing_of_the_trial_remains(build_tiny: Callable[..., Any]) -> None:
    """Found in transformers 5.23: weights and BatchNorm statistics have moved when the smaller batch begins."""
    trainer = build_tiny(hold(4), auto_find_batch_size=True)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert fit_batch_size(trainer) is not None and trainer.model.steps == 2
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(value.grad is None for value in trainer.model.parameters())
    assert trainer.train_scores.sums is None and trainer.loss_watch.read() is None
    assert trainer.state.global_step == 0 and trainer.optimizer is None


def test_not_even_one_row_is_told_before_the_first_step(build_tiny: Callable[..., Any]) -> None:
    trainer = build_tiny(hold(0), auto_find_batch_size=True)
    with pytest.raises(InputError, match=r"not even one row fits into memory; .*`peft: lora` need less") as caught:
        trainer.train()
    assert caught.value.at == ("auto_find_batch_size",) and trainer.state.global_step == 0


def test_another_error_of_the_trial_is_not_taken_for_memory(build_tiny: Callable[..., Any]) -> None:
    def fail(network: torch.nn.Module, rows: int) -> float:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit_batch_size(build_tiny(fail, auto_find_batch_size=True))


def test_the_longest_rows_are_tried(build_tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build_tiny(auto_find_batch_size=True, per_device_train_batch_size=2)
    lengths = torch.arange(24).numpy().copy()
    lengths[5], lengths[9] = 90, 80
    rows = trainer.data.train
    tried: list[int] = []
    rows.lengths, rows.before_row = lengths, tried.append
    assert fit_batch_size(trainer) is None and tried == [5, 9]


@pytest.mark.parametrize("name", ["is_fsdp_enabled", "is_deepspeed_enabled"])
def test_a_model_that_is_sharded_later_is_refused(name: str) -> None:
    flags = {"is_fsdp_enabled": False, "is_deepspeed_enabled": False, name: True}
    with pytest.raises(InputError, match="a sharded model needs is not known"):
        fit_batch_size(SimpleNamespace(args=None, **flags))
