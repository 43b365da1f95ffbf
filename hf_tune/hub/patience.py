"""Requests to the Hub that are tried again: huggingface_hub 2.4 never repeats a commit, or what makes a repository."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from hf_tune.input_error import InputError, PushFailed


logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

SECONDS = 300.0
"""How long a push waits for a Hub that does not answer."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Pauses in seconds: the first is at most this long, each may be twice as long as the one before."""
_CUT = (RuntimeError, ConnectionError, TimeoutError)
"""What a lost connection is raised as beside the client's own errors, by xet too."""
_PASSING = frozenset({408, 409, 412, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone a moment later; 409 and 412: somebody else has written meanwhile."""


def ask(
    call: Callable[[], Answer], doing: str, seconds: float | None = None, stop: threading.Event | None = None
) -> Answer:
    """Return what a call of huggingface_hub returns, tried again with growing pauses for what may pass.

    Raises `PushFailed` in a sentence for what does not pass within `seconds`, and at once for what never will. The
    call must be one that may be repeated: it may have been carried out although its answer was lost. An event ends
    the waiting.
    """
    import tenacity
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    ends: Any = tenacity.stop_after_delay(SECONDS if seconds is None else seconds)
    waits = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        wait=lambda state: _asked_pause(state) or waits(state),
        stop=ends if stop is None else ends | tenacity.stop_when_event_set(stop),
        sleep=tenacity.sleep if stop is None else tenacity.sleep_using_event(stop),
        before_sleep=lambda state: _say(state, doing),
        reraise=True,
    )
    try:
        return retrying(call)
    except (HTTPError, OfflineModeIsEnabled, RuntimeError, OSError) as error:
        told = explain(error)
        if told is None:
            raise
        raise PushFailed(f"{doing}: {told}") from error


def explain(error: BaseException) -> str | None:
    """Return what a failed request means, in a sentence; None where it is none of the Hub's."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    error = _unwrap(error)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, and the Hub is not asked"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        known = {
            401: "the Hub does not accept the token; `hf auth login` or HF_TOKEN gives it another",
            403: "the token may not do this; make one with write access to this repository",
            404: "the repository or its branch is not there, or the token may not see it",
            429: "the Hub asks to wait: too many requests (429)",
        }
        said = str(error.server_message or error).strip().partition("\n")[0]
        return known.get(status, f"the Hub answered {status}: {said}")
    if isinstance(error, (HTTPError, *_CUT)):
        cause = str(error).partition("\n")[0] or type(error).__name__
        return f"the Hub cannot be reached, or hung up: {cause}"
    return None


def refuse_input(call: Callable[[], Answer], doing: str, at: tuple[str, ...] = (), seconds: float = 8.0) -> Answer:
    """Return what a call returns, as `ask`; raises `InputError` where it fails, for what is looked at before work."""
    try:
        return ask(call, doing, seconds)
    except PushFailed as error:
        raise InputError(str(error), "`hub.offline=true` trains without the Hub; push later", at=at) from None


def _may_pass(error: BaseException) -> bool:
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    error = _unwrap(error)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING
    return isinstance(error, (HTTPError, *_CUT))


def _unwrap(error: BaseException) -> BaseException:
    """Return why a file was given up: the client raises a RuntimeError of it, or that it has no local copy."""
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    cause = error.__cause__
    if isinstance(error, LocalEntryNotFoundError) and not isinstance(cause, HTTPError):
        return ConnectionError(str(error).partition("\n")[0])
    return (
        cause if isinstance(error, (RuntimeError, LocalEntryNotFoundError)) and isinstance(cause, HTTPError) else error
    )


def _asked_pause(state: Any) -> float | None:
    """Return the seconds that the Hub's answer asks to wait; None where it does not."""
    response = getattr(_unwrap(state.outcome.exception()), "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(asked), LONGEST_WAIT) if asked.isdecimal() else None


def _say(state: Any, doing: str) -> None:
    told = explain(state.outcome.exception())
    logger.warning("%s: %s; again in %.1f s", doing, told, state.next_action.sleep)
