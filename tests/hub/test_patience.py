"""Requests that are tried again, and the sentences of those that fail for good."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from hf_tune.hub import patience
from hf_tune.hub.patience import ask, refuse_input
from hf_tune.input_error import InputError, PushFailed


class Response:
    """What an error of the client knows of the Hub's answer."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status_code = status
        self.headers = headers
        self.request = None


def refuse(status: int, message: str = "busy", headers: dict[str, str] | None = None) -> HfHubHTTPError:
    return HfHubHTTPError(message, response=Response(status, headers or {}), server_message=message)  # type: ignore[arg-type]


def fail_first(*errors: BaseException) -> tuple[Callable[[], str], list[str]]:
    """Return a call that raises these one after another and then works, and the list of its attempts."""
    left, attempts = list(errors), []

    def call() -> str:
        attempts.append("asked")
        if left:
            raise left.pop(0)
        return "answer"

    return call, attempts


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Sleep no second, and keep how long it would have been."""
    import tenacity

    slept: list[float] = []
    monkeypatch.setattr(tenacity, "sleep", slept.append)
    yield slept


@pytest.mark.parametrize("status", [408, 409, 412, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int, pauses: list[float]) -> None:
    call, attempts = fail_first(refuse(status), refuse(status))
    assert ask(call, "pushing") == "answer"
    assert len(attempts) == 3 and len(pauses) == 2


@pytest.mark.parametrize("error", [HTTPError("cut"), ConnectionError("reset"), RuntimeError("xet"), TimeoutError()])
def test_a_cut_connection_is_tried_again(error: BaseException) -> None:
    call, attempts = fail_first(error)
    assert ask(call, "pushing") == "answer" and len(attempts) == 2


@pytest.mark.parametrize(
    ("status", "words"), [(401, "does not accept the token"), (403, "may not do this"), (404, "is not there")]
)
def test_what_never_passes_is_told_at_once(status: int, words: str, pauses: list[float]) -> None:
    call, attempts = fail_first(refuse(status))
    with pytest.raises(PushFailed, match=f"pushing: .*{words}"):
        ask(call, "pushing")
    assert len(attempts) == 1 and not pauses


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    call, _ = fail_first(*[refuse(503, "over capacity")] * 1000)
    with pytest.raises(PushFailed, match="pushing: the Hub answered 503: over capacity"):
        ask(call, "pushing", seconds=0.0)


def test_the_pause_is_what_the_hub_asks_for(pauses: list[float]) -> None:
    call, _ = fail_first(refuse(429, headers={"Retry-After": "7"}), refuse(429, headers={"Retry-After": "9999"}))
    ask(call, "pushing")
    assert pauses == [7.0, patience.LONGEST_WAIT]


def test_pauses_grow_up_to_the_longest(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    call, _ = fail_first(*[refuse(500)] * 8)
    ask(call, "pushing")
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_file_that_was_given_up_is_told_by_its_cause() -> None:
    error = RuntimeError("Error while uploading 'a' to the Hub.")
    error.__cause__ = refuse(403)
    call, attempts = fail_first(error)
    with pytest.raises(PushFailed, match="may not do this"):
        ask(call, "pushing")
    assert len(attempts) == 1


def test_an_event_ends_the_waiting() -> None:
    stop = threading.Event()
    stop.set()
    call, attempts = fail_first(*[refuse(500)] * 3)
    with pytest.raises(PushFailed):
        ask(call, "pushing", stop=stop)
    assert len(attempts) == 1


def test_faults_of_the_code_are_not_hidden() -> None:
    call, attempts = fail_first(KeyError("x"))
    with pytest.raises(KeyError):
        ask(call, "pushing")
    assert len(attempts) == 1


def test_what_is_looked_at_before_work_is_an_input_error() -> None:
    def call() -> Any:
        raise refuse(401)

    with pytest.raises(InputError, match=r"hub\.offline=true") as told:
        refuse_input(call, "asking", at=("repo_id",))
    assert told.value.at == ("repo_id",)


def test_each_attempt_is_told(caplog: pytest.LogCaptureFixture) -> None:
    call, _ = fail_first(refuse(500, "server is sad"))
    ask(call, "pushing a to b")
    assert "pushing a to b: the Hub answered 500: server is sad; again in" in caplog.text
