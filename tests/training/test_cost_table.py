"""The table of `hf-tune check --processes`."""

import io

from rich.console import Console

from hf_tune.training.cost_model import Cost
from hf_tune.training.cost_table import build_cost_table


def show(memory: int | None) -> str:
    costs = [
        Cost(strategy="ddp", weights=2**20, states=2 * 2**20, passes=3 * 2**20, network=2**19),
        Cost(strategy="fsdp2", weights=2**19, states=2**20, passes=3 * 2**20, network=2**20),
    ]
    console = Console(width=160, file=io.StringIO())
    console.print(build_cost_table(costs, memory))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_sizes_and_what_is_left_or_missing_are_told() -> None:
    told = show(5 * 2**20)
    assert "6.0 MiB" in told and "does not fit, 1.0 MiB too much" in told
    assert "4.5 MiB" in told and "fits, 0.5 MiB left" in told


def test_without_a_memory_nothing_is_judged() -> None:
    assert "fit" not in show(None)
