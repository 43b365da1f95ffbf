"""A Hub on loopback for the real clients of models, data sets and Spaces: it reads, writes, and fails when told to.

Folders given to it are served as they stand and cannot be written; repositories that clients create live in a
temporary folder. It speaks what huggingface_hub 2.4 asks for with HF_HUB_DISABLE_XET=1. Clients of the same process
reach it through the fixture `hub` of conftest.py (hub_client.py), others through `environment`.
"""

import os
import re
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from hub_exchange import Answer, Refusal, Request, get_account, refuse
from hub_faults import Fault
from hub_reads import READS
from hub_store import Account, Commit, Repository, Store, is_large
from hub_writes import WRITES


NO_FAULT = Fault(match="")


class HubServer:
    """Serves `{("models" | "datasets" | "spaces", "owner/name"): folder}`; use it as a context manager."""

    def __init__(self, repos: Mapping[tuple[str, str], Path], accounts: Mapping[str, Account] | None = None) -> None:
        """Choose a free port. `accounts` holds token -> account; left out, hf_test is a write token of alice."""
        self._folder = tempfile.TemporaryDirectory(prefix="hub_server_", ignore_cleanup_errors=True)
        accounts = {"hf_test": Account(user="alice")} if accounts is None else accounts
        self.store = Store(repos, accounts, Path(self._folder.name))
        self.repos, self.accounts, self.uploaded = self.store.repos, self.store.accounts, self.store.uploaded
        self.requests: list[str] = []
        """Each as METHOD /path, unquoted."""
        self.faults_taken: list[tuple[str, Fault]] = []
        """Request and fault, in the order in which they met."""
        self.waits: list[float] = []
        """Seconds that the clients of the fixture `hub` meant to wait before they tried again."""
        self._faults: list[Fault] = []
        self.lock = threading.RLock()
        self.connections: set[socket.socket] = set()
        self.stopped = threading.Event()
        self._server = self._bind(0)
        self.url = self.store.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "HubServer":
        """Serve in a thread."""
        self._serve()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving and forget what was written."""
        self.stopped.set()
        self._close()
        self._folder.cleanup()

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the environment of a client that knows no other Hub and an empty cache, with the first token."""
        own = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0"}
        token = next(iter(self.accounts), "")
        return {**os.environ, **own, "HF_DATASETS_OFFLINE": "0", "HF_TOKEN": token}

    def add_account(self, token: str, user: str, **fields: Any) -> Account:
        """Let a token in; `fields` are those of Account: role, orgs, scopes, expired."""
        self.accounts[token] = account = Account(user=user, **fields)
        return account

    def create(
        self, repo_id: str, *, kind: str = "models", private: bool = False, files: Mapping[str, bytes] | None = None
    ) -> Repository:
        """Make a repository with some files, past all rights; its `gated` and `private` may be set."""
        with self.lock:
            repo = self.store.create(kind, repo_id, repo_id.split("/", maxsplit=1)[0])
            repo.private = private
            if files:
                self.commit(repo_id, files, kind=kind)
        return repo

    def commit(
        self, repo_id: str, files: Mapping[str, bytes], *, kind: str = "models", branch: str = "main"
    ) -> Commit:
        """Add files to a repository behind the back of the client, past all rights."""
        with self.lock:
            repo = self._get(kind, repo_id)
            made = dict(repo.commits[repo.branches[branch]].files)
            for name, content in files.items():
                add = repo.add_blob if is_large(name, len(content), content[:512]) else repo.add_file
                made[name] = add(content)
            return repo.commit(branch, "Add files", made, author=repo.creator)

    def files(self, repo_id: str, revision: str = "main", kind: str = "models") -> dict[str, bytes]:
        """Return what a revision holds, .gitattributes (which the Hub writes itself) included."""
        commit = self._get(kind, repo_id).find(revision)
        if commit is None:
            raise KeyError(f"no {revision!r} in {repo_id}")
        return {name: file.path.read_bytes() for name, file in commit.files.items()}

    def heads(self, repo_id: str, kind: str = "models") -> dict[str, str]:
        """Return the commits of branches and tags by name."""
        repo = self._get(kind, repo_id)
        return {**repo.branches, **repo.tags}

    def commits(self, repo_id: str, revision: str = "main", kind: str = "models") -> list[Commit]:
        """Return the history of a revision, the newest commit first; the last is the Hub's own."""
        repo = self._get(kind, repo_id)
        commit = repo.find(revision)
        return repo.history(commit) if commit else []

    def fault(self, match: str, times: int = 1, **how: Any) -> Fault:
        """Let the next `times` requests that match fail; `how` are the fields of Fault, by default a status of 500."""
        if how.keys() <= {"retry_after"}:
            how["status"] = 500
        fault = Fault(match=match, times=times, **how)
        with self.lock:
            self._faults.append(fault)
        return fault

    def away(self, requests: int | None = None) -> AbstractContextManager[object]:
        """Refuse connections while the context lasts; with a number, cut that many requests and then be back."""
        return self._refuse() if requests is None else self.fault("", times=requests, drop=True)

    def take_fault(self, line: str) -> Fault | None:
        """Note a request and return the fault that it meets."""
        with self.lock:
            self.requests.append(line)
            fault = next((each for each in self._faults if each.times > 0 and re.search(each.match, line)), None)
            if fault:
                fault.times -= 1
                self.faults_taken.append((line, fault))
            return fault

    @contextmanager
    def _refuse(self) -> Iterator[None]:
        port = self._server.server_address[1]
        self._close()
        try:
            yield
        finally:
            self._server = self._bind(port)
            self._serve()

    def _get(self, kind: str, repo_id: str) -> Repository:
        repo = self.store.get(kind, repo_id)
        if repo is None:
            raise KeyError(f"no {kind}/{repo_id}")
        return repo

    def _bind(self, port: int) -> ThreadingHTTPServer:
        return _Server(("127.0.0.1", port), type("BoundHandler", (_Handler,), {"hub": self}))

    def _serve(self) -> None:
        # Polled often, because `shutdown` waits for the next poll.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        with self.lock:
            for connection in self.connections:
                _cut(connection)


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what went wrong here; clients that hang up are no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer on a kept connection waits 40 ms for an acknowledgement
    hub: HubServer

    def setup(self) -> None:
        """Note the connection, so that it can be cut."""
        super().setup()
        with self.hub.lock:
            self.hub.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        with self.hub.lock:
            self.hub.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        """Answer any request, unless a fault is in the way."""
        address = urlsplit(self.path)
        fault = self.hub.take_fault(f"{self.command} {unquote(address.path)}") or NO_FAULT
        self.hub.stopped.wait(fault.delay)
        sends_body = self.command in ("PUT", "POST")
        body = None if fault.drop else self._read_body(fault.cut if sends_body else None)
        if body is None:
            self._hang_up()
            return
        told = fault.answer() if fault.status else None
        answer = told if told and not fault.after else self._carry_out(address.path, address.query, body)
        if fault.after and told is None:
            self._hang_up()
        else:
            self._send(told or answer, None if sends_body else fault.cut)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _carry_out(self, path: str, query: str, body: bytes) -> Answer:
        """Find the route of a request and take it."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        method = "GET" if self.command == "HEAD" else self.command
        matches = ((re.fullmatch(each, path), route) for verb, each, route in READS + WRITES if verb == method)
        match, route = next(((match, route) for match, route in matches if match), (None, None))
        if match is None or route is None:
            return refuse(404, "Sorry, we can't find the page you are looking for.", "EntryNotFound")
        # Taken apart before it is unquoted, because a slash within a revision is quoted.
        named = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
        asked = {"query": dict(parse_qsl(query)), "body": body, "asked_range": self.headers.get("Range", "")}
        with self.hub.lock:
            try:
                account = get_account(self.hub.store, token if scheme == "Bearer" else None)
                return route(self.hub.store, Request(account=account, **named, **asked))
            except Refusal as refusal:
                return refusal.answer

    def _read_body(self, cut: int | None) -> bytes | None:
        """Return the body, or None where it was cut short."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length if cut is None else min(cut, length))
            return body if len(body) == length and cut is None else None
        parts, size = [], 0
        while cut is None or size < cut:
            length = int(self.rfile.readline().split(b";")[0], 16)
            parts.append(self.rfile.read(length))
            self.rfile.readline()
            size += length
            if length == 0:
                return b"".join(parts)
        return None

    def _send(self, answer: Answer, cut: int | None) -> None:
        length = answer.length if answer.path else len(answer.body)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(length), "X-Request-Id": "loopback"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer, length if cut is None else min(cut, length))
        if cut is not None:
            self._hang_up()

    def _send_body(self, answer: Answer, length: int) -> None:
        if answer.path is None:
            self.wfile.write(answer.body[:length])
            return
        with answer.path.open("rb") as opened:
            opened.seek(answer.first)
            while part := opened.read(min(length, 2**20)):
                self.wfile.write(part)
                length -= len(part)

    def _hang_up(self) -> None:
        self.close_connection = True
        _cut(self.connection)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was first
