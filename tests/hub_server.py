"""A Hub on loopback that serves folders under Hub ids, read only: enough for the real clients of models and data sets.

It speaks what huggingface_hub 2.4 asks for with HF_HUB_DISABLE_XET=1: repository info, trees, and files with ETag,
commit and ranges. The environment of a client must be set before it is imported, so clients run in a subprocess.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/(refs/convert/[^/]+|[^/]+)/(.+)")
INFO = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(?:/revision/(refs/convert/[^/]+|[^/]+))?")
TREE = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/(refs/convert/[^/]+|[^/]+)(?:/(.+))?")
PATHS = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/paths-info/(refs/convert/[^/]+|[^/]+)")


class HubServer:
    """Serves `{("models" | "datasets", "owner/name"): folder}`; use it as a context manager."""

    def __init__(self, repos: Mapping[tuple[str, str], Path]) -> None:
        """Choose a free port."""
        self.repos = dict(repos)
        self.requests: list[str] = []
        handler = type("BoundHandler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "HubServer":
        """Serve in a thread."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the environment of a client that knows no other Hub and an empty cache."""
        own = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0"}
        return {**os.environ, **own, "HF_DATASETS_OFFLINE": "0"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def do_GET(self) -> None:
        """Answer a GET or HEAD."""
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if match := FILE.fullmatch(path):
            self._send_file(match[1] or "models", match[2], match[3], match[4])
        elif match := TREE.fullmatch(path):
            self._send_tree(match[1], match[2], match[4] or "")
        elif match := INFO.fullmatch(path):
            self._send_info(match[1], match[2], match[3])
        else:
            self._send_json(404, {"error": "no such page"}, {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer a question about some paths."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match = PATHS.fullmatch(unquote(urlsplit(self.path).path))
        folder = self.hub.repos.get((match[1], match[2])) if match else None
        if folder is None:
            self._send_json(404, {"error": "no such repository"}, {"X-Error-Code": "RepoNotFound"})
            return
        text = body.decode()
        asked = json.loads(text)["paths"] if text.startswith("{") else [v for k, v in parse_qsl(text) if k == "paths"]
        self._send_json(200, [_entry(folder, folder / name) for name in asked if (folder / name).exists()])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _folder(self, kind: str, repo: str) -> Path | None:
        folder = self.hub.repos.get((kind, repo))
        if folder is None:
            self._send_json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        return folder

    def _send_info(self, kind: str, repo: str, revision: str | None) -> None:
        folder = self._folder(kind, repo)
        if folder is None:
            return
        if not self._knows(folder, revision):
            return
        siblings = [{"rfilename": str(file.relative_to(folder))} for file in _files(folder)]
        info = {"id": repo, "sha": _commit(folder), "siblings": siblings, "tags": [], "private": False, "gated": False}
        self._send_json(200, {**info, "lastModified": "2026-01-01T00:00:00.000Z", "disabled": False, "downloads": 0})

    def _send_tree(self, kind: str, repo: str, inside: str) -> None:
        folder = self._folder(kind, repo)
        if folder is None:
            return
        recursive = dict(parse_qsl(urlsplit(self.path).query)).get("recursive", "").lower() in ("true", "1")
        place = folder / inside
        if not place.is_dir():
            self._send_json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        listed = sorted(place.rglob("*") if recursive else place.iterdir())
        self._send_json(200, [_entry(folder, path) for path in listed])

    def _knows(self, folder: Path, revision: str | None) -> bool:
        known = revision in (None, "main", "refs/convert/parquet", _commit(folder))
        if not known:
            self._send_json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        return known

    def _send_file(self, kind: str, repo: str, revision: str, name: str) -> None:
        folder = self._folder(kind, repo)
        if folder is None or not self._knows(folder, revision):
            return
        file = folder / name
        if not file.is_file():
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": _commit(folder)}
            self._send_json(404, {"error": "Entry not found"}, headers)
            return
        content = file.read_bytes()
        headers = {"X-Repo-Commit": _commit(folder), "ETag": f'"{_digest(content)}"', "Accept-Ranges": "bytes"}
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        status = 200
        if asked:
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            content, status = content[first : last + 1], 206
        self._send(status, content, {**headers, "Content-Type": "application/octet-stream"})

    def _send_json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _commit(folder: Path) -> str:
    names = [f"{file.relative_to(folder)}:{file.stat().st_size}" for file in _files(folder)]
    return hashlib.sha1("\n".join(names).encode()).hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = str(path.relative_to(folder))
    if path.is_dir():
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
    return {"type": "file", "oid": _digest(path.read_bytes()), "size": path.stat().st_size, "path": name}
