"""The folder of a run."""

from pathlib import Path

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.run_folder import check_disk, check_folder, clear_folder, estimate_disk_bytes, find_checkpoint


def fill(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("x")
    return folder


def test_a_new_or_empty_folder_is_fine(tmp_path: Path) -> None:
    check_folder(tmp_path, resume=False, overwrite=False)
    check_folder(tmp_path / "new", resume=False, overwrite=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "resume", "overwrite", "words"),
    [
        ("results.json", False, False, "holds another run; --resume goes on"),
        ("thesis.tex", False, False, "holds other files; give a new name"),
        ("thesis.tex", False, True, "files that are no run"),
        ("results.json", True, False, "no checkpoint to resume"),
    ],
)
def test_a_used_folder_is_never_touched_silently(
    name: str, resume: bool, overwrite: bool, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        check_folder(fill(tmp_path, name), resume, overwrite)
    assert (tmp_path / name).exists()


def test_a_run_is_deleted_where_it_was_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "run", "recipe.yaml")
    check_folder(folder, resume=False, overwrite=True)
    clear_folder(folder)
    assert not folder.exists()


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    """TRAPS T15: killed while saving, the newest lacks trainer_state.json."""
    for step in (9, 10):
        fill(tmp_path / f"checkpoint-{step}", "trainer_state.json")
    fill(tmp_path / "checkpoint-11", "model.safetensors")
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert find_checkpoint(tmp_path / "nothing") is None


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="and the disk has"):
        check_disk(tmp_path / "a" / "b", 2**60)
    check_disk(tmp_path / "a" / "b", 1)


def test_disk_use_counts_weights_and_two_optimiser_states() -> None:
    # Three checkpoints of 100 weights (4 bytes) with two states of 100 (8 bytes), and the final weights.
    assert estimate_disk_bytes(100, 100, full=True, save_total_limit=1) == 3 * 1200 + 400
    assert estimate_disk_bytes(10, 100, full=False, save_total_limit=1) == 3 * 120 + 40


def test_overwriting_the_folder_of_the_recipe_itself_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "run", "recipe.yaml")
    with pytest.raises(InputError, match="where the recipe itself stands"):
        check_folder(folder, resume=False, overwrite=True, needed=folder)
    assert (folder / "recipe.yaml").exists()
