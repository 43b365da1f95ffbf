"""How a process speaks and ends."""

import logging
import time
from collections.abc import Iterator

import pytest
import torch.distributed

from hf_tune.input_error import InputError, RunStopped
from hf_tune.process_end import SECONDS, end_run, start_logging


ENDS = pytest.mark.parametrize(
    ("error", "code"), [(InputError("seed is 'x'", "give a number"), 2), (RunStopped("stopped after step 4"), 1)]
)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list of the seconds that were waited for, which do not pass."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Return the root logger, whose level is put back."""
    root = logging.getLogger()
    level = root.level
    yield root
    root.setLevel(level)


@ENDS
def test_the_first_process_speaks_at_once(
    error: Exception,
    code: int,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert end_run(error) == code
    out, words = capsys.readouterr()
    assert (out, words, waits) == ("", f"{error}\n", [])


@ENDS
def test_another_process_waits_and_says_which_it_is(
    error: Exception,
    code: int,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What all processes met is said by the first one, and the launcher ends this one while it waits."""
    monkeypatch.setenv("RANK", "1")
    silent: list[str] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: (waits.append(seconds), silent.append(capsys.readouterr().err)))
    assert end_run(error) == code
    assert (waits, silent) == ([SECONDS], [""])
    assert capsys.readouterr().err == f"process 1: {error}\n"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_run_that_is_done_says_nothing(
    rank: str, waits: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", rank)
    assert end_run() == 0
    assert (*capsys.readouterr(), waits) == ("", "", [])


def test_the_processes_part_after_the_words(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    spoken: list[str] = []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(
        torch.distributed, "destroy_process_group", lambda: spoken.append(capsys.readouterr().err.strip())
    )
    assert end_run(RunStopped("stopped after step 4", "start again")) == 1
    assert spoken == ["stopped after step 4; start again"]


@pytest.mark.parametrize(("rank", "told"), [(None, True), ("0", True), ("1", False)])
def test_warnings_are_said_by_the_first_process_alone(
    rank: str | None,
    told: bool,
    root: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(root, "handlers", [])  # those of pytest
    start_logging()
    logging.getLogger("hf_tune.somewhere").warning("the labels are far from 1")
    logging.getLogger("hf_tune.somewhere").error("it is broken")
    words = capsys.readouterr().err
    assert ("WARNING: the labels are far from 1\n" in words) is told and "ERROR: it is broken\n" in words
