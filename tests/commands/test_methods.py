"""`hf-tune methods`."""

import pytest

from hf_tune.commands import methods


def test_the_table_has_a_reason_for_every_cell_that_does_not_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert methods.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:] if line and not line.startswith("(")}
    reasons = {line.split()[0] for line in lines if line.startswith("(")}
    assert rows["full"] == ["yes"] * 8 and rows["lora"] == ["yes"] * 8 and rows["bottleneck"] == ["yes"] * 8
    assert rows["prefix"][:2] == ["yes", "yes"] and rows["prefix"][-1].startswith("(")
    assert {cell for row in rows.values() for cell in row} == {"yes", *reasons}


def test_it_can_be_pasted_into_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert methods.main(["--markdown"]) == 0
    first, rule, full, *_ = capsys.readouterr().out.splitlines()
    assert first == "| peft: | bert | roberta | distilbert | gpt2 | llama | t5 | vit | timm |"
    assert rule == "|" + " --- |" * 9 and full == "| full |" + " yes |" * 8
