"""One request to the loopback Hub of the tests, one answer of it, and who may ask for what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub_store import Account, Commit, Repository, Store


JSON = {"Content-Type": "application/json; charset=utf-8"}
STRANGER = "Invalid username or password."


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request whose body is read and whose address is taken apart."""

    account: Account | None = None
    kind: str = "models"
    repo_id: str = ""
    revision: str = "main"
    path: str = ""
    """Within the repository."""
    oid: str = ""
    """sha256 of a content in large file storage."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    asked_range: str = ""

    @property
    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body or b"{}")

    def is_asked(self, name: str) -> bool:
        """Tell whether the query turns something on."""
        return self.query.get(name, "").lower() in ("1", "true")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer; its bytes are `body`, or a part of a file on this machine."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    path: Path | None = None
    first: int = 0
    length: int = 0
    """Bytes of `path`, from `first`."""


class Refusal(Exception):
    """An answer of 4xx, raised wherever it becomes clear."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Take what the client reads of a refusal: its status, its message and X-Error-Code."""
        super().__init__(message)
        self.answer = refuse(status, message, code, headers)


def refuse(status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Return a refusal as the Hub words it, in headers and body."""
    own = {**JSON, "X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return Answer(status=status, headers=own, body=json.dumps({"error": message}).encode())


def answer_json(value: Any, status: int = 200) -> Answer:
    """Return a value as JSON."""
    return Answer(status=status, headers=JSON, body=json.dumps(value).encode())


def get_account(store: Store, token: str | None) -> Account | None:
    """Return who asks; None for a stranger."""
    if token is None:
        return None
    account = store.accounts.get(token)
    if account is None:
        raise Refusal(401, "Invalid credentials in Authorization header")
    if account.expired:
        raise Refusal(401, f'User Access Token "{account.user}-token" is expired')
    return account


def get_readable(store: Store, request: Request) -> Repository:
    """Return the repository of a request, if who asks may see it."""
    repo, account = store.get(request.kind, request.repo_id), request.account
    if repo is None or (repo.private and not (account and account.may_read(repo.repo_id))):
        # The Hub tells a stranger 401 without a code, which the client takes for a missing repository; but its
        # pattern for that (REPO_API_REGEX of huggingface_hub 2.4) wants https, so the code is sent here.
        status, message = (404, "Repository not found") if account else (401, STRANGER)
        raise Refusal(status, message, "RepoNotFound")
    return repo


def get_writable(store: Store, request: Request) -> Repository:
    """Return the repository of a request, if who asks may change it."""
    repo, account = get_readable(store, request), request.account
    if account is None:
        raise Refusal(401, STRANGER)
    if account.role == "read":
        raise Refusal(403, "Forbidden: you must use a write token to upload to a repository.")
    if repo.read_only or not account.may_write(repo.repo_id, repo.creator):
        raise Refusal(403, f"Forbidden: you don't have write access to {repo.repo_id}")
    return repo


def find_commit(repo: Repository, revision: str) -> Commit:
    """Return the commit of a revision that has to be there."""
    commit = repo.find(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


def check_gate(repo: Repository, account: Account | None) -> None:
    """Refuse the files of a gated repository to whom it is not granted."""
    if not repo.gated or (account and (account.user in repo.granted or account.may_read(repo.repo_id))):
        return
    raise Refusal(403 if account else 401, f"Access to {repo.kind[:-1]} {repo.repo_id} is restricted.", "GatedRepo")
