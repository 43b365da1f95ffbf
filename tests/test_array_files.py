"""Arrays in files: whole or not there, and bounded."""

import errno
import os
import time
from pathlib import Path

import datasets
import numpy as np
import pytest

from hf_tune import array_files
from hf_tune.array_files import find_folder, find_refusal, make_room, open_array, reserve_array, seal_array, write_part


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path / "hf_tune"


def write(name: str, rows: int = 4) -> None:
    part = reserve_array(f"{name}-mine", (rows, 2), np.float32)
    with write_part(part) as array:
        array[:] = np.arange(rows * 2).reshape(rows, 2)
    seal_array(part, name)


def test_an_array_is_there_once_it_is_whole(folder: Path) -> None:
    part = reserve_array("a-mine", (4, 2), np.float32)
    assert part.parent == folder == find_folder() and open_array("a") is None
    with write_part(part) as array:
        array[1] = 7
        assert open_array("a") is None
    seal_array(part, "a")
    found = open_array("a")
    assert found is not None and found.dtype == np.float32
    assert found.tolist() == [[0, 0], [7, 7], [0, 0], [0, 0]]
    assert isinstance(found, np.memmap) and not found.flags.writeable
    assert [file.name for file in folder.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("left", [0, 40, 140])
def test_a_file_that_is_not_whole_is_none(left: int, folder: Path) -> None:
    write("a")
    os.truncate(folder / "a.npy", left)
    assert open_array("a") is None


def test_all_the_room_is_taken_before_the_first_write() -> None:
    part = reserve_array("a-mine", (1000, 1000), np.float32)
    assert part.stat().st_blocks * 512 >= 4_000_000


def test_a_full_disk_is_an_error_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        reserve_array("a-mine", (4, 2), np.float32)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("constant", ["LIMIT_BYTES", "FREE_PART"])
def test_more_than_there_is_room_for_is_refused(constant: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_refusal(1000) is None and not folder.exists()
    monkeypatch.setattr(array_files, constant, 0)
    assert "0.0 GiB are more than the 0.0 GiB of the disk" in str(find_refusal(1000))
    with pytest.raises(OSError, match="are more than"):
        make_room(1000)
    assert not folder.exists()


def test_what_was_not_used_for_the_longest_time_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for second, name in enumerate("abc"):
        write(name)
        os.utime(folder / f"{name}.npy", (second, second))
    mapped = open_array("a")  # used: now the youngest
    size = (folder / "a.npy").stat().st_size
    monkeypatch.setattr(array_files, "LIMIT_BYTES", 3 * size)
    write("d")
    assert {file.stem for file in folder.iterdir()} == {"a", "c", "d"}
    make_room(3 * size)
    assert not list(folder.iterdir())
    assert mapped is not None and mapped[3, 1] == 7  # who has mapped it reads on


def test_parts_of_killed_runs_go_after_a_day(folder: Path) -> None:
    left, living = (reserve_array(name, (4, 2), np.float32) for name in ("left", "living"))
    yesterday = time.time() - 25 * 3600
    os.utime(left, (yesterday, yesterday))
    write("a")
    assert {file.name for file in folder.iterdir()} == {living.name, "a.npy"}
