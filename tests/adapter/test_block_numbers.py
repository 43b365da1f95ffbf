"""Which block a layer is in."""

import pytest

from hf_tune.adapter.block_numbers import is_in_blocks


@pytest.mark.parametrize(
    ("name", "blocks", "patterns", "inside"),
    [
        ("bert.encoder.layer.1.output.dense", [1], None, True),
        ("bert.encoder.layer.1.output.dense", 1, None, True),
        ("bert.encoder.layer.11.output.dense", [1], None, False),
        ("bert.pooler.dense", [1], None, False),
        ("bert.pooler.dense", None, None, True),
        ("bert.pooler.dense", [], None, True),
        ("model.layers.1.experts.0.up", [0], None, False),  # the first number counts
        ("encoder.block.2.layer.0.wo", [2], "block", True),
        ("encoder.block.2.layer.0.wo", [0], ["layer"], True),
        ("encoder.block.2.layer.0.wo", [2], ["layer"], False),
    ],
)
def test_blocks_are_counted_as_peft_counts_them(
    name: str, blocks: list[int] | int | None, patterns: list[str] | str | None, inside: bool
) -> None:
    assert is_in_blocks(name, blocks, patterns) is inside
