"""SIGTERM and Ctrl-C: the step is finished and saved before the run ends, and it says how to go on."""

import signal
import sys
import threading
from types import FrameType
from typing import Any


class Interruption:
    """While the context lasts, the first signal is a wish that `asked` tells of; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        """Start with no wish."""
        self.asked = False
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
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.asked:
            self.asked = True
            name = signal.Signals(number).name
            print(f"{name}: finishing and saving this step; Ctrl-C again ends at once", file=sys.stderr, flush=True)
