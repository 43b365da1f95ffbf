"""Pushes while a run trains: never waited for, never silent, the newest alone."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hf_tune.hub.background_push import BackgroundPush
from hf_tune.input_error import PushFailed


class Push:
    """Notes what is pushed, and waits in it until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.pushed: list[str] = []
        self.error = error
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, folder: Path, stop: threading.Event) -> None:
        self.begun.set()
        assert self.let_go.wait(30)
        self.pushed.append(folder.name)
        if self.error is not None:
            raise self.error


def build(checkpoint: Path) -> Path:
    folder = checkpoint.parent / f"hub-{checkpoint.name}"
    folder.mkdir()
    return folder


def save(callback: BackgroundPush, folder: Path, step: int, best: int | None = None, first: bool = True) -> None:
    arguments: Any = SimpleNamespace(output_dir=str(folder))
    state: Any = SimpleNamespace(global_step=step, best_global_step=best, is_world_process_zero=first)
    callback.on_save(arguments, state, None)


def test_training_goes_on_while_a_push_waits_and_the_newest_is_next(tmp_path: Path) -> None:
    push = Push()
    callback = BackgroundPush("epoch", build, push)
    save(callback, tmp_path, 1)
    assert push.begun.wait(30)
    for step in (2, 3, 4):
        save(callback, tmp_path, step)  # returns although nothing was pushed yet
    assert push.pushed == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub-checkpoint-1", "hub-checkpoint-4"]
    waiting = callback.waiting.get()  # what would be pushed next
    assert waiting is not None and waiting.name == "hub-checkpoint-4"
    callback.waiting.put(waiting)
    push.let_go.set()
    callback.waiting.put(None)
    assert callback.thread is not None
    callback.thread.join(30)
    assert push.pushed == ["hub-checkpoint-1", "hub-checkpoint-4"]
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    push = Push()
    push.let_go.set()
    (tmp_path / "hub-checkpoint-9").mkdir()
    callback = BackgroundPush("epoch", build, push)
    save(callback, tmp_path, 10)
    assert not (tmp_path / "hub-checkpoint-9").exists()
    callback.close()


def test_the_end_of_training_leaves_what_waits_to_the_last_push(tmp_path: Path) -> None:
    push = Push()
    callback = BackgroundPush("epoch", build, push)
    save(callback, tmp_path, 1)
    assert push.begun.wait(30)
    save(callback, tmp_path, 2)
    push.let_go.set()
    callback.on_train_end(None, None, None)
    assert push.pushed == ["hub-checkpoint-1"] and callback.stop.is_set() and callback.thread is None
    assert list(tmp_path.iterdir()) == []


def test_only_the_best_checkpoint_where_the_best_is_asked_for(tmp_path: Path) -> None:
    push = Push()
    push.let_go.set()
    callback = BackgroundPush("best", build, push)
    for step, best in ((1, 1), (2, 1), (3, 3)):
        save(callback, tmp_path, step, best)
        while callback.waiting.qsize() or list(tmp_path.iterdir()):
            threading.Event().wait(0.001)
    callback.close()
    assert push.pushed == ["hub-checkpoint-1", "hub-checkpoint-3"]


def test_other_processes_push_nothing(tmp_path: Path) -> None:
    callback = BackgroundPush("epoch", build, Push())
    save(callback, tmp_path, 1, first=False)
    assert callback.thread is None
    callback.close()


@pytest.mark.parametrize("error", [PushFailed("the Hub said no"), OSError("no room")])
def test_a_push_that_fails_is_told_and_the_next_one_is_tried(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    push = Push(error)
    push.let_go.set()
    callback = BackgroundPush("epoch", build, push)
    for step in (1, 2):
        save(callback, tmp_path, step)
        while list(tmp_path.iterdir()):
            threading.Event().wait(0.001)
    callback.close()
    assert push.pushed == ["hub-checkpoint-1", "hub-checkpoint-2"]
    assert caplog.text.count(f"the run trains on; a checkpoint was not pushed: {error}") == 2


def test_a_full_disk_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(checkpoint: Path) -> Path:
        raise OSError(28, "No space left on device")

    callback = BackgroundPush("epoch", fail, Push())
    save(callback, tmp_path, 7)
    callback.close()
    assert "the checkpoint of step 7 is not pushed: [Errno 28] No space left" in caplog.text
