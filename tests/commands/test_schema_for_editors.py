"""`hf-tune schema`: printed, or written."""

import json
from pathlib import Path

import pytest

from hf_tune.commands.schema_for_editors import main


def test_the_schema_is_printed_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"title": "A recipe of hf_tune", "properties": {"naïve": {}}}  # making the real one takes seconds
    monkeypatch.setattr("hf_tune.recipe.json_schema.build_schema", lambda: schema)
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == schema
    assert main(["--output", str(tmp_path / "x.json")]) == 0
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == printed and "wrote" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(tmp_path / "no" / "x.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
