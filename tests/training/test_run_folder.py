"""The folder of a run."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.folder_lock import LOCK, hold_folder
from hf_tune.training.run_folder import (
    FolderMode,
    check_disk,
    check_folder,
    clear_folder,
    estimate_disk_bytes,
)


def fill(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("x")
    return folder


def test_a_new_or_empty_folder_is_fine(tmp_path: Path) -> None:
    check_folder(tmp_path, "new")
    check_folder(tmp_path / "new", "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("results.json", "new", "holds another run; --resume goes on"),
        ("thesis.tex", "new", "holds other files; give a new name"),
        ("thesis.tex", "overwrite", "files that are no run"),
        ("thesis.tex", "resume", "holds other files; give a new name"),
    ],
)
def test_a_used_folder_is_never_touched_silently(name: str, mode: FolderMode, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        check_folder(fill(tmp_path, name), mode)
    assert (tmp_path / name).exists()


def test_a_run_is_deleted_where_it_was_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "run", "recipe.yaml")
    check_folder(folder, "overwrite")
    clear_folder(folder, "new")
    assert folder.exists()
    (folder / "plots").mkdir()
    clear_folder(folder, "overwrite")
    assert list(folder.iterdir()) == []


def test_a_run_without_a_checkpoint_yet_and_an_empty_folder_can_be_resumed(tmp_path: Path) -> None:
    check_folder(fill(tmp_path / "run", "recipe.yaml"), "resume")
    check_folder(tmp_path / "nothing", "resume")
    check_folder(fill(tmp_path / "killed", "recipe.yaml.tmp"), "resume")  # while it wrote its very first file


def test_a_folder_that_another_run_writes_is_refused_and_one_of_a_dead_run_is_not(tmp_path: Path) -> None:
    with hold_folder(tmp_path), pytest.raises(InputError, match=r"another run writes '.*' now"):
        check_folder(tmp_path, "new")
    assert (tmp_path / LOCK).exists()
    check_folder(tmp_path, "new")


def test_a_resumed_run_forgets_the_results_of_its_shorter_self_and_nothing_else(tmp_path: Path) -> None:
    fill(fill(tmp_path, "results.json"), "model.safetensors")
    clear_folder(tmp_path, "resume")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="and the disk has"):
        check_disk(tmp_path / "a" / "b", 2**60)
    check_disk(tmp_path / "a" / "b", 1)


def test_disk_use_counts_weights_and_two_optimiser_states() -> None:
    # Three checkpoints of 100 weights (4 bytes) with two states of 100 (8 bytes), and the final weights.
    assert estimate_disk_bytes(100, 100, full=True, save_total_limit=1) == 3 * 1200 + 400
    assert estimate_disk_bytes(10, 100, full=False, save_total_limit=1) == 3 * 120 + 40


@pytest.mark.parametrize("read", ["recipe.yaml", ".", "checkpoint-3/model.safetensors"])
def test_overwriting_what_the_run_reads_is_refused(read: str, tmp_path: Path) -> None:
    """Found: a checkpoint of the run itself as the next run's model, deleted before it was read again."""
    folder = fill(tmp_path / "run", "recipe.yaml")
    fill(folder / "checkpoint-3", "model.safetensors")
    with pytest.raises(InputError, match=r"--overwrite would delete '.*run', and the run reads"):
        check_folder(folder, "overwrite", [tmp_path / "elsewhere", folder / read])
    assert (folder / "recipe.yaml").exists()
    check_folder(folder, "overwrite", [tmp_path, tmp_path / "elsewhere", tmp_path / "run2"])


def test_a_file_system_without_a_disk_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found with /proc: root may write there by os.access, and the disk was said to be full."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, free=0))
    with pytest.raises(InputError, match=r"'.*nope' cannot be written"):
        check_folder(tmp_path / "nope", "new")


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    fill(tmp_path, "file")
    with pytest.raises(InputError, match="file' is a file; give a folder"):
        check_folder(tmp_path / "file" / "run", "new")


def test_averaged_weights_stand_in_a_checkpoint_twice() -> None:
    alone, twice = (estimate_disk_bytes(100, 100, True, 1, averaged) for averaged in (0, 100))
    assert twice - alone == 3 * 4 * 100  # in the checkpoint, the one that it replaces, and the best one
