"""`hf-tune card`: the card of a run, written again."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import metadata_load

from hf_tune.commands.card_again import main


def test_the_card_is_written_again_and_its_place_is_told(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    before = (run / "README.md").read_bytes()
    (run / "README.md").write_text("torn")
    assert main([str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'README.md'}\n" and (run / "README.md").read_bytes() == before
    assert main([str(run), "card.license=mit"]) == 0
    assert metadata_load(run / "README.md")["license"] == "mit"


def test_what_is_wrong_is_a_sentence(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2 and main([str(finished_run), "training.seed=3"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "is no run" in told[0] and "training.seed=3: not of the card" in told[1]
