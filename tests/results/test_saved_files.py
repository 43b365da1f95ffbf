"""Files that come whole to their places, and are recognised later."""

import hashlib
import os
from pathlib import Path

import pytest

from hf_tune.input_error import InputError
from hf_tune.results.saved_files import ASIDE, check_files, hash_files, save_files


def write(folder: Path) -> None:
    for name, text in {"config.json": "{}", "model.safetensors": "weights", "deep/more.jinja": "x"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "README.md").write_text("what PEFT writes")


def test_every_file_reaches_its_place_and_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("task: a\n")
    files = save_files(tmp_path, write)
    assert sorted(files) == ["config.json", "deep/more.jinja", "model.safetensors"]
    assert files["model.safetensors"] == {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", "config.json", "model.safetensors", "deep"}


def test_a_file_larger_than_a_chunk_is_hashed_whole(tmp_path: Path) -> None:
    content = os.urandom(2**20 + 5)
    (tmp_path / "a").write_bytes(content)
    assert hash_files(tmp_path, ["a"]) == {"a": {"bytes": 2**20 + 5, "sha256": hashlib.sha256(content).hexdigest()}}


def test_what_a_killed_run_left_aside_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / ASIDE).mkdir()
    (tmp_path / ASIDE / "half.safetensors").write_text("ha")
    assert "half.safetensors" not in save_files(tmp_path, write) and not (tmp_path / ASIDE).exists()


def test_killed_while_it_writes_the_old_files_stay(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("old and whole")

    def fail(folder: Path) -> None:
        (folder / "model.safetensors").write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_files(tmp_path, fail)
    assert (tmp_path / "model.safetensors").read_text() == "old and whole"


def test_the_file_that_makes_a_folder_a_model_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (moved.append(Path(new).name), real(old, new)))
    save_files(tmp_path, write)
    assert moved == ["more.jinja", "model.safetensors", "config.json"]


def test_files_as_they_were_pass(tmp_path: Path) -> None:
    check_files(tmp_path, save_files(tmp_path, write))


@pytest.mark.parametrize(
    ("text", "told"), [(None, "is not there"), ("other!!", "has changed"), ("more than", "has changed")]
)
def test_a_file_that_is_gone_or_another_is_named(text: str | None, told: str, tmp_path: Path) -> None:
    files = save_files(tmp_path, write)
    file = tmp_path / "model.safetensors"
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=f"model.safetensors.* {told}"):
        check_files(tmp_path, files)
