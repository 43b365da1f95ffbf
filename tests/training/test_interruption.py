"""SIGTERM and Ctrl-C."""

import os
import signal
import threading

import pytest

from hf_tune.training import interruption as interruption_module
from hf_tune.training.interruption import Interruption


HANDLED = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", HANDLED)
def test_the_first_signal_is_a_wish_and_says_so_in_one_line(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    interruption = Interruption()
    with interruption:
        assert not interruption.asked
        os.kill(os.getpid(), number)
        assert interruption.asked
    words = capsys.readouterr().err
    assert words == f"{number.name}: finishing and saving this step; Ctrl-C again ends at once\n"


def test_a_second_ctrl_c_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption_module, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_after_sigterm_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler asks first; the person who does not want to wait has one key to press."""
    monkeypatch.setattr(interruption_module, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt), Interruption():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_ctrl_c_that_the_launcher_hands_on_at_once_is_the_same_one() -> None:
    """Seen with torchrun, which gets the key of the terminal as its workers do, and sends it to them as well."""
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert interruption.asked


def test_a_second_sigterm_is_the_same_wish(capsys: pytest.CaptureFixture[str]) -> None:
    with Interruption() as interruption:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.asked and len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("number", HANDLED)
def test_the_handlers_are_given_back(number: signal.Signals) -> None:
    met: list[int] = []
    before = [signal.getsignal(each) for each in HANDLED]

    def note(number: int, frame: object) -> None:
        met.append(number)

    try:
        for each in HANDLED:
            signal.signal(each, note)
        interruption = Interruption()
        with interruption:
            assert signal.getsignal(number) is not note
        with pytest.raises(ValueError, match="of the step"), interruption:
            raise ValueError("of the step")
        assert [signal.getsignal(each) for each in HANDLED] == [note, note]
        os.kill(os.getpid(), number)
        assert met == [number] and not interruption.asked
    finally:
        for each, handler in zip(HANDLED, before, strict=True):
            signal.signal(each, handler)


def test_outside_the_main_thread_the_handlers_stay_as_they_are() -> None:
    """Python takes signals in its main thread alone: signal.signal raises ValueError elsewhere."""
    before = [signal.getsignal(each) for each in HANDLED]
    seen: list[object] = []

    def enter() -> None:
        with Interruption() as interruption:
            seen.extend(signal.getsignal(each) for each in HANDLED)
            seen.append(interruption.asked)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [*before, False]
    assert [signal.getsignal(each) for each in HANDLED] == before
