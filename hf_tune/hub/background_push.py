"""Pushes while a run trains: one thread that waits for the Hub in place of the training, and tells what failed."""

import logging
import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback

from hf_tune.input_error import InputError, PushFailed


logger = logging.getLogger(__name__)


class BackgroundPush(TrainerCallback):
    """Gives checkpoints of the first process to a thread that pushes them; of those that wait, the newest alone.

    A push that fails is a warning at once, and ends nothing: the push at the end of the run is another one.
    """

    def __init__(
        self,
        every: Literal["best", "epoch"],
        build: Callable[[Path], Path],
        push: Callable[[Path, threading.Event], Any],
    ) -> None:
        """Keep what to do: `build` makes a folder of a checkpoint, quickly; `push` brings a folder to the Hub."""
        self.every = every
        self.build = build
        self.push = push
        self.stop = threading.Event()
        self.waiting: queue.Queue[Path | None] = queue.Queue()
        self.thread: threading.Thread | None = None

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Hand the checkpoint over that was just written."""
        is_best = state.best_global_step == state.global_step
        if not state.is_world_process_zero or (self.every == "best" and not is_best):
            return
        if self.thread is None:
            for left in Path(args.output_dir).glob("hub-checkpoint-*"):  # by a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            self.thread = threading.Thread(target=self._work, name="push", daemon=True)
            self.thread.start()
        self._forget_waiting()
        try:
            self.waiting.put(self.build(Path(args.output_dir, f"checkpoint-{state.global_step}")))
        except OSError as error:  # a full disk, of which the training itself will tell more
            logger.warning("the checkpoint of step %d is not pushed: %s", state.global_step, error)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the thread: what it sends is sent to its end, and what waits is left to the push of the whole run."""
        self.close()

    def close(self) -> None:
        """Wait for a push that is being sent, without the patience for a Hub that does not answer."""
        self._forget_waiting()
        self.stop.set()
        if self.thread is not None:
            self.waiting.put(None)
            self.thread.join()
            self.thread = None

    def _forget_waiting(self) -> None:
        while not self.waiting.empty():
            folder = self.waiting.get()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _work(self) -> None:
        while (folder := self.waiting.get()) is not None:
            try:
                self.push(folder, self.stop)
            except (PushFailed, InputError, OSError) as error:
                logger.warning("the run trains on; a checkpoint was not pushed: %s", error)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
