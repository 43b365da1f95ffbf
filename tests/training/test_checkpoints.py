"""Checkpoints: whole or not there."""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.checkpoints import (
    SEAL,
    UNFINISHED,
    check_total_batch,
    close_checkpoint,
    find_checkpoint,
    name_best,
    name_checkpoint,
    read_state,
    rotate_checkpoints,
    settle_checkpoints,
)


def write(folder: Path, step: int, best: int | None = None) -> Path:
    """Write the files of a checkpoint aside, unsealed, and return their folder."""
    path = name_checkpoint(folder / UNFINISHED, step)
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "best_global_step": best}))
    return path


def save(folder: Path, step: int, best: int | None = None) -> Path:
    return close_checkpoint(write(folder, step, best), {"processes": 2, "rows_per_step": 16})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    """TRAPS T15: killed while saving, transformers 5.23 leaves a newest one without trainer_state.json."""
    for step in (9, 10):
        save(tmp_path, step)
    write(tmp_path, 11)
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert find_checkpoint(tmp_path / "nothing") is None


@pytest.mark.parametrize("spoil", ["cut", "missing", "unsealed", "seal cut"])
def test_a_torn_checkpoint_is_left_out_with_a_sentence(
    spoil: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 9)
    torn = save(tmp_path, 10)
    if spoil == "cut":
        (torn / "model.safetensors").write_bytes(b"we")
    elif spoil == "missing":
        (torn / "model.safetensors").unlink()
    elif spoil == "unsealed":
        (torn / SEAL).unlink()
    else:
        (torn / SEAL).write_text('{"files": {')
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    words = {"cut": "model.safetensors has 2 of 7 bytes", "missing": "model.safetensors has 0 of 7 bytes"}
    assert words.get(spoil, f"its {SEAL} cannot be read") in caplog.text and "checkpoint-10 is torn" in caplog.text
    settle_checkpoints(tmp_path, tmp_path / "checkpoint-9", None)
    assert names(tmp_path) == ["checkpoint-9"]


def test_a_checkpoint_needs_its_best_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 8, best=8)
    save(tmp_path, 9, best=8)
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    (tmp_path / "checkpoint-8" / "model.safetensors").write_bytes(b"")
    assert find_checkpoint(tmp_path) is None
    assert "the best checkpoint so far, that of step 8: model.safetensors has 0 of 7 bytes" in caplog.text


def test_killed_between_seal_and_name_the_checkpoint_counts(tmp_path: Path) -> None:
    save(tmp_path, 9)
    placed = save(tmp_path, 10)
    aside = name_checkpoint(tmp_path / UNFINISHED, 10)
    shutil.move(placed, aside)  # as if killed before the rename, with the older one of this step there or not
    assert find_checkpoint(tmp_path) == aside
    assert settle_checkpoints(tmp_path, aside, None) == tmp_path / "checkpoint-10"
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-9"] and not (tmp_path / UNFINISHED).exists()


def test_killed_before_the_older_ones_were_deleted_they_are_deleted_later(tmp_path: Path) -> None:
    """Found by a kill test: a run that was resumed at its end kept one checkpoint more."""
    for step in (8, 9, 10):
        save(tmp_path, step, best=8)
    settle_checkpoints(tmp_path, tmp_path / "checkpoint-10", 1)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-8"]


def test_a_step_that_is_saved_twice_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, 9)
    again = write(tmp_path, 9)
    (again / "more").write_text("x")
    assert (close_checkpoint(again, {}) / "more").exists() and names(tmp_path) == ["checkpoint-9"]


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (1, None, ["12"]),
        (2, None, ["11", "12"]),
        (1, "x/checkpoint-9", ["12", "9"]),
        (None, None, ["10", "11", "12", "9"]),
    ],
)
def test_the_newest_and_the_best_are_kept(
    limit: int | None, best: str | None, left: list[str], tmp_path: Path
) -> None:
    for step in (9, 10, 11, 12):
        save(tmp_path, step)
    rotate_checkpoints(tmp_path, limit, best)
    assert names(tmp_path) == [f"checkpoint-{step}" for step in left]


def test_another_total_batch_is_refused_with_both_numbers(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 9)
    check_total_batch(checkpoint, 16, processes=1)
    with pytest.raises(InputError, match="took 16 rows a step on 2 processes, and this one would take 8 on 1;"):
        check_total_batch(checkpoint, 8, processes=1)


def test_the_best_checkpoint_is_looked_for_where_the_run_is_now(tmp_path: Path) -> None:
    save(tmp_path, 8)
    assert name_best(tmp_path, SimpleNamespace(best_global_step=None, global_step=9)) is None
    assert name_best(tmp_path, SimpleNamespace(best_global_step=7, global_step=9)) is None
    assert name_best(tmp_path, SimpleNamespace(best_global_step=8, global_step=9)) == str(tmp_path / "checkpoint-8")
    assert name_best(tmp_path, SimpleNamespace(best_global_step=9, global_step=9)) == str(tmp_path / "checkpoint-9")


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    checkpoint = save(tmp_path, 9)
    (checkpoint / "trainer_state.json").write_text("{")
    with pytest.raises(InputError, match=r"trainer_state.json' is damaged"):
        read_state(checkpoint)
