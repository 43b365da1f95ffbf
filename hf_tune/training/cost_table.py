"""The table of `hf-tune check --processes`: what each strategy costs a device."""

from collections.abc import Sequence

from rich.table import Table

from hf_tune.training.cost_model import Cost
from hf_tune.training.memory_size import format_size


def build_cost_table(costs: Sequence[Cost], memory: int | None) -> Table:
    """Return a row for each strategy; `memory` is that of a device in bytes, None where it is not asked about."""
    table = Table(title="every device", title_justify="left")
    columns = ["weights", "optimiser states", "most in a step", "memory", "sent in a step"]
    table.add_column("strategy")
    for column in columns:
        table.add_column(column, justify="right")
    if memory is not None:
        table.add_column(f"in {format_size(memory)}")
    for cost in costs:
        sizes = (cost.weights, cost.states, cost.passes, cost.memory, cost.network)
        row = [cost.strategy, *(format_size(size) for size in sizes)]
        if memory is not None:
            gap = format_size(abs(memory - cost.memory))
            row.append(f"fits, {gap} left" if cost.memory <= memory else f"does not fit, {gap} too much")
        table.add_row(*row)
    return table
