"""One run writes a folder at a time."""

import os
import signal
from pathlib import Path

import pytest

from hf_tune.input_error import InputError
from hf_tune.training.folder_lock import LOCK, check_unheld, hold_folder


def fork_holder(folder: Path) -> tuple[int, int]:
    """Start a process that holds the folder until it is killed; return it and the end of a pipe that it writes to."""
    hears, tells = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with hold_folder(folder):
                os.write(tells, b"held")
                signal.pause()
        finally:
            os._exit(0)
    assert os.read(hears, 4) == b"held"
    return child, hears


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_folder_is_made_and_held_while_the_run_lasts(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "run"
    with hold_folder(folder):
        assert [path.name for path in folder.iterdir()] == [LOCK]
        with pytest.raises(InputError, match=r"another run writes .*run' now; wait for it, or give another folder"):
            check_unheld(folder)
    check_unheld(folder)
    with hold_folder(folder):
        assert folder.is_dir()


def test_a_folder_that_another_process_holds_is_refused_with_the_key(tmp_path: Path) -> None:
    child, _ = fork_holder(tmp_path)
    try:
        with pytest.raises(InputError) as caught, hold_folder(tmp_path):
            raise AssertionError("two runs write one folder")
        assert caught.value.at == ("output_dir",)
    finally:
        end(child)


def test_what_a_killed_run_leaves_behind_is_no_lock(tmp_path: Path) -> None:
    child, _ = fork_holder(tmp_path)
    end(child)
    assert (tmp_path / LOCK).exists()
    check_unheld(tmp_path)
    with hold_folder(tmp_path):
        assert (tmp_path / LOCK).exists()


def test_a_run_that_fails_lets_go_of_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the middle"), hold_folder(tmp_path):
        raise ValueError("in the middle")
    check_unheld(tmp_path)


def test_looking_at_a_folder_makes_no_lock(tmp_path: Path) -> None:
    check_unheld(tmp_path)
    check_unheld(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_the_error_of_the_run_is_not_taken_for_one_of_the_lock(tmp_path: Path) -> None:
    """A `TimeoutError` inside the context, such as of the Hub, is the run's own."""
    with pytest.raises(TimeoutError, match="the Hub"), hold_folder(tmp_path):
        raise TimeoutError("the Hub")
