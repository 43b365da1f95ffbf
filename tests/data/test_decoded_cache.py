"""Files of encoded rows: whole or not taken, written by one process, and within their room."""

import errno
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

import datasets
import filelock
import numpy as np
import pytest
import torch

from hf_tune import array_files
from hf_tune.array_files import find_folder, find_refusal
from hf_tune.data import decoded_cache
from hf_tune.data.decoded_cache import UnevenRowsError, find_dtype, map_rows, read_rows


NAME, OTHER = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that the files lie in."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path / "hf_tune"


class Rows:
    """Rows of one shape, and how often they were encoded."""

    def __init__(self, side: int = 4) -> None:
        self.side = side
        self.calls = 0

    def __call__(self, row: int) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {
            "pixel_values": torch.full((3, self.side, self.side), row, dtype=torch.uint8),
            "size": torch.tensor(row),
        }


def taken(rows: np.ndarray | None, count: int) -> bool:
    assert rows is not None
    whole = [(int(row["size"]), row["pixel_values"].min(), row["pixel_values"].max()) for row in rows]
    return whole == [(number, number, number) for number in range(count)]


def test_rows_are_written_once_and_read_after_that(folder: Path) -> None:
    encode = Rows()
    first = map_rows(NAME, 5, encode)
    assert taken(first, 5) and encode.calls == 6  # row 0 twice: its shapes are those of all
    assert taken(map_rows(NAME, 5, encode), 5) and encode.calls == 6
    assert isinstance(first, np.memmap) and not first.flags.writeable
    assert sorted(path.name for path in folder.glob("*")) == ["a.lock", f"{NAME}.npy"]
    map_rows(OTHER, 5, encode)
    assert encode.calls == 12


def test_the_dtype_names_every_tensor_with_its_shape() -> None:
    dtype = find_dtype(Rows()(0))
    assert dtype["pixel_values"].shape == (3, 4, 4) and dtype["pixel_values"].base == np.uint8
    assert dtype["size"] == np.int64
    for other in ({}, {"text": "a"}, {"value": torch.ones(2, dtype=torch.bfloat16)}):
        with pytest.raises(UnevenRowsError):
            find_dtype(other)


def test_rows_of_several_shapes_are_not_kept(folder: Path) -> None:
    assert map_rows(NAME, 5, lambda row: Rows(4 + row // 4)(0)) is None
    assert list(folder.glob("*.npy")) == list(folder.glob("*.tmp")) == []


def test_rows_without_a_name_leave_nothing(folder: Path) -> None:
    assert taken(map_rows(None, 5, Rows()), 5)
    assert list(folder.glob("*")) == []


@pytest.mark.parametrize("keep", [0, 40, -1])
def test_a_file_that_is_not_whole_is_written_anew(keep: int, folder: Path) -> None:
    encode = Rows()
    map_rows(NAME, 5, encode)
    file = folder / f"{NAME}.npy"
    file.write_bytes(file.read_bytes()[:keep])
    assert read_rows(file, 5) is None
    assert taken(map_rows(NAME, 5, encode), 5) and encode.calls == 12


def test_what_a_killed_process_left_is_deleted_by_the_next(folder: Path) -> None:
    """The names begin with the writer's digit, with another, and with one whose lock a living process holds."""
    folder.mkdir()
    for name in (NAME, "a1", "c1", "d1"):
        (folder / f"{name}.tmp").write_bytes(b"half")
    with filelock.FileLock(folder / "d.lock"):
        assert taken(map_rows(NAME, 5, Rows()), 5)
    assert [path.name for path in folder.glob("*.tmp")] == ["d1.tmp"]


def test_an_error_of_a_row_leaves_nothing(folder: Path) -> None:
    def refuse(row: int) -> Any:
        if row == 3:
            raise ValueError("a bad row")
        return Rows()(row)

    with pytest.raises(ValueError, match="a bad row"):
        map_rows(NAME, 5, refuse)
    assert [path.name for path in folder.glob("*")] == ["a.lock"]


@pytest.mark.parametrize("name", [NAME, None])
def test_a_full_disk_is_told_and_nothing_is_kept(
    name: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fill(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(decoded_cache.npy, "write_array_header_2_0", fill)
    assert map_rows(name, 5, Rows()) is None
    assert "No space left on device" in caplog.text and "decoded anew each time" in caplog.text
    assert list(folder.glob("*.npy")) == list(folder.glob("*.tmp")) == []


def test_a_disk_that_fills_while_rows_are_written_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    full = lambda place, name: (place / f"{name}.tmp").symlink_to("/dev/full")  # noqa: E731
    monkeypatch.setattr(decoded_cache, "_delete_leftovers", full)
    assert map_rows(NAME, 5, Rows(200)) is None
    assert "No space left on device" in caplog.text
    assert [path.name for path in folder.glob("*")] == ["a.lock"]


def test_a_folder_that_cannot_be_made_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_text("a file in its place")
    assert map_rows(NAME, 5, Rows()) is None
    assert "decoded rows cannot be kept in" in caplog.text


def test_a_file_is_read_where_nothing_can_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Rows()
    map_rows(NAME, 5, encode)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert taken(map_rows(NAME, 5, encode), 5) and encode.calls == 6
    assert map_rows(OTHER, 5, encode) is None


def test_what_was_not_used_for_longest_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [digit * 32 for digit in "abcd"]
    for second, name in enumerate(names[:3]):
        map_rows(name, 5, Rows())
        os.utime(folder / f"{name}.npy", (second, second))
    oldest = map_rows(names[0], 5, Rows())  # used again: the second is now the oldest
    size = (folder / f"{names[0]}.npy").stat().st_size
    monkeypatch.setattr(array_files, "LIMIT_BYTES", 3 * size)
    map_rows(names[3], 5, Rows())
    left = {path.stem for path in folder.glob("*.npy")}
    assert left == {names[0], names[2], names[3]}
    monkeypatch.setattr(array_files, "LIMIT_BYTES", size)
    map_rows(names[1], 5, Rows())
    assert [path.stem for path in folder.glob("*.npy")] == [names[1]]
    assert taken(oldest, 5)  # what is mapped stays


@pytest.mark.parametrize("constant", ["LIMIT_BYTES", "FREE_PART"])
def test_more_than_there_is_room_for_is_not_kept(
    constant: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    map_rows(OTHER, 5, Rows())
    monkeypatch.setattr(array_files, constant, 0)
    assert find_refusal(1) is not None
    encode = Rows()
    assert map_rows(NAME, 5, encode) is None and encode.calls == 1
    assert "are more than the" in caplog.text
    assert [path.stem for path in folder.glob("*.npy")] == [OTHER]  # nothing is deleted for what never fits


def _write(cache: Path, barrier: Any, answers: Any) -> None:
    datasets.config.HF_DATASETS_CACHE = cache
    logging.disable()
    encode = Rows(40)
    barrier.wait(60)
    rows = map_rows(NAME, 200, encode)
    answers.put((encode.calls, taken(rows, 200)))


def test_of_two_processes_one_writes_and_the_other_waits(folder: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(2), context.Queue()
    writers = [context.Process(target=_write, args=(tmp_path, barrier, answers)) for _ in range(2)]
    for writer in writers:
        writer.start()
    found = sorted(answers.get(timeout=60) for _ in writers)
    for writer in writers:
        writer.join()
    assert found == [(0, True), (201, True)]
    assert [path.name for path in folder.glob("*.npy")] == [f"{NAME}.npy"]


def test_the_folder_lies_in_the_cache_of_datasets(folder: Path) -> None:
    assert find_folder() == folder
