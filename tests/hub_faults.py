"""What goes wrong with requests to the loopback Hub of the tests, when a test says so."""

from dataclasses import dataclass, replace
from types import TracebackType

from hub_exchange import Answer, refuse


MESSAGES = {
    401: "Invalid username or password.",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    412: "A commit has happened since. Please refresh and try again.",
    429: "We had to rate limit you",
    500: "Internal Error - We're working hard to fix this as soon as possible!",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(kw_only=True)
class Fault:
    """Something that goes wrong with the next requests that match; as a context manager, until its end."""

    match: str
    """Regular expression, searched in "METHOD /path"."""
    times: int = 1
    status: int | None = None
    drop: bool = False
    """Cut the connection before an answer."""
    cut: int | None = None
    """Cut it after so many bytes of the request's body (PUT, POST) or of the answer's (GET)."""
    delay: float = 0.0
    """Seconds before anything else."""
    retry_after: int | None = None
    """Seconds, as the header of the answer says."""
    after: bool = False
    """Carry the request out first; then cut, or answer `status`."""

    def __enter__(self) -> "Fault":
        """Change nothing: a fault holds from the moment it is made."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let it happen no more."""
        self.times = 0

    def answer(self) -> Answer:
        """Return what the client is told in place of the real answer."""
        status = self.status or 500
        answer = refuse(status, MESSAGES.get(status, "Injected"))
        wait = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return replace(answer, headers={**answer.headers, **wait})
