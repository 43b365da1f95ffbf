"""SIGTERM and Ctrl-C: the step is finished and saved before the run ends, and it says how to go on."""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any


PATIENCE_SECONDS = 2.0
"""A Ctrl-C sooner than this after the first is the same one: the launcher of several processes hands it on again."""


class Interruption:
    """While the context lasts, the first signal is a wish that `asked` tells of; a later Ctrl-C ends at once."""

    def __init__(self) -> None:
        """Start with no wish."""
        self.asked = False
        self._asked_at = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        """Take over both signals; outside the main thread Python has none to take."""
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked, self._asked_at = True, time.monotonic()
            if os.environ.get("RANK", "0") == "0":
                name = signal.Signals(number).name
                print(
                    f"{name}: finishing and saving this step; Ctrl-C again ends at once", file=sys.stderr, flush=True
                )
        elif number == signal.SIGINT and time.monotonic() - self._asked_at > PATIENCE_SECONDS:
            raise KeyboardInterrupt
