"""What the loopback Hub of the tests holds: accounts, repositories, commits, and where the bytes of files lie.

Loaded by conftest.py under the name `hub_store`; `hub_reads` and `hub_writes` answer from it, `hub_server` listens.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml


LFS_SIZE = 10 * 2**20  # bytes
LARGE = re.compile(
    r".*\.(7z|arrow|bin|bz2|ckpt|ftz|gz|h5|joblib|mlmodel|model|msgpack|npy|npz|onnx|ot|parquet|pb|pickle|pkl|pt|pth|rar|"
    r"safetensors|tar|tflite|tgz|wasm|xz|zip|zst)"
)
ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
CONVERTED = "refs/convert/parquet"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who stands behind a token, and what the token may do."""

    user: str
    role: str = "write"
    """Of the token: read, write or fineGrained."""
    orgs: Mapping[str, str] = field(default_factory=dict)
    """Organisation -> role in it: read, contributor, write or admin."""
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of a fineGrained token: user, organisation or repository -> permissions such as repo.write."""
    expired: bool = False

    def may_read(self, repo_id: str) -> bool:
        """Tell whether a private repository is shown."""
        namespace = repo_id.split("/", maxsplit=1)[0]
        if namespace != self.user and namespace not in self.orgs:
            return False
        return self.role != "fineGrained" or self._has(repo_id, "repo.content.read", "repo.write")

    def may_write(self, repo_id: str, creator: str | None) -> bool:
        """Tell whether a repository that `creator` made, or is about to make, can be changed."""
        namespace = repo_id.split("/", maxsplit=1)[0]
        if self.role == "read" or (self.role == "fineGrained" and not self._has(repo_id, "repo.write")):
            return False
        own = namespace == self.user or self.orgs.get(namespace) in ("write", "admin")
        return own or (self.orgs.get(namespace) == "contributor" and creator == self.user)

    def _has(self, repo_id: str, *permissions: str) -> bool:
        granted = {*self.scopes.get(repo_id, ()), *self.scopes.get(repo_id.split("/", maxsplit=1)[0], ())}
        return not granted.isdisjoint(permissions)


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a commit."""

    path: Path
    """Where its bytes lie on this machine."""
    size: int
    is_lfs: bool

    @property
    def sha256(self) -> str:
        """Return the name of its content in large file storage."""
        return _hash_file(self.path, self.path.stat().st_mtime_ns)[1]

    @property
    def oid(self) -> str:
        """Return the name of its git blob, which is the pointer where the content is in large file storage."""
        return git_sha1(self.pointer) if self.is_lfs else _hash_file(self.path, self.path.stat().st_mtime_ns)[0]

    @property
    def etag(self) -> str:
        """Return what a client takes to tell two contents apart."""
        return self.sha256 if self.is_lfs else self.oid

    @property
    def pointer(self) -> bytes:
        """Return what git holds in place of the content."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        return text.encode()


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One state of a repository."""

    id: str
    title: str
    files: Mapping[str, File]
    parent: str | None = None
    message: str = ""
    author: str = ""
    date: str = "2026-01-01T00:00:00.000Z"


class Repository:
    """Branches, tags and commits of one model, data set or Space."""

    read_only = False

    def __init__(self, kind: str, repo_id: str, store: Path, creator: str) -> None:
        """Begin with the commit that the Hub makes itself; contents are kept below `store`."""
        self.kind, self.repo_id, self.store, self.creator = kind, repo_id, store, creator
        self.private = False
        self.gated: bool | str = False
        self.granted: set[str] = set()
        """Users who may read the files of a gated repository."""
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.commits: dict[str, Commit] = {}
        self.blobs: set[str] = set()
        """sha256 of the contents in large file storage."""
        self.unverified: set[str] = set()
        """Those of them that were sent, and not asked for since: they do not count as there."""
        self.store.mkdir(parents=True, exist_ok=True)
        self.commit("main", "initial commit", {".gitattributes": self.add_file(ATTRIBUTES)}, author=creator)

    def find(self, name: str) -> Commit | None:
        """Return the commit of a branch, a tag or (the first 7 digits or more of) a commit."""
        named = self.branches.get(name) or self.tags.get(name)
        if named is None and re.fullmatch("[0-9a-f]{7,40}", name):
            named = next((each for each in self.commits if each.startswith(name)), None)
        return self.commits.get(named) if named else None

    def history(self, commit: Commit) -> list[Commit]:
        """Return a commit and its ancestors, the newest first."""
        found = [commit]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found

    def commit(
        self, branch: str, title: str, files: Mapping[str, File], message: str = "", author: str = ""
    ) -> Commit:
        """Put a new state at the head of a branch."""
        parent = self.branches.get(branch)
        told = [self.kind, self.repo_id, str(len(self.commits)), str(parent), title, *sorted(files)]
        made = Commit(
            id=hashlib.sha1("\n".join(told).encode()).hexdigest(),
            title=title,
            files=dict(files),
            parent=parent,
            message=message,
            author=author,
            date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )
        self.commits[made.id] = made
        self.branches[branch] = made.id
        return made

    def add_file(self, content: bytes) -> File:
        """Keep the content of a regular file."""
        path = self.store / git_sha1(content)
        path.write_bytes(content)
        return File(path=path, size=len(content), is_lfs=False)

    def add_blob(self, content: bytes) -> File:
        """Keep a content in large file storage."""
        sha256 = hashlib.sha256(content).hexdigest()
        (self.store / sha256).write_bytes(content)
        self.blobs.add(sha256)
        return self.get_blob(sha256)

    def get_blob(self, sha256: str) -> File:
        """Return a content of large file storage as a file."""
        path = self.store / sha256
        return File(path=path, size=path.stat().st_size, is_lfs=True)


class FolderRepository(Repository):
    """A folder served as it stands: one branch, one commit, which changes with the names and sizes of files."""

    read_only = True

    def __init__(self, kind: str, repo_id: str, folder: Path) -> None:
        """Copy nothing."""
        self.kind, self.repo_id, self.creator = kind, repo_id, ""
        self.private, self.gated, self.granted = False, False, set()
        files = {}
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            with path.open("rb") as opened:
                sample = opened.read(512)
            size = path.stat().st_size
            name = path.relative_to(folder).as_posix()
            files[name] = File(path=path, size=size, is_lfs=is_large(name, size, sample))
        told = "\n".join(f"{name}:{file.size}" for name, file in files.items())
        head = Commit(id=hashlib.sha1(told.encode()).hexdigest(), title="initial commit", files=files)
        self.branches, self.tags, self.commits = {"main": head.id}, {}, {head.id: head}

    def find(self, name: str) -> Commit | None:
        """Return the one commit, which is also that of the converted data set."""
        return super().find("main" if name == CONVERTED else name)


class Store:
    """All of it: repositories, accounts by token, and what was uploaded."""

    def __init__(self, repos: Mapping[tuple[str, str], Path], accounts: Mapping[str, Account], folder: Path) -> None:
        """Serve the folders of `repos` as they stand and keep what is written below `folder`."""
        self.repos: dict[tuple[str, str], Path | Repository] = dict(repos)
        self.accounts = dict(accounts)
        self.uploaded: list[str] = []
        """sha256 of each content that was PUT to large file storage, in order."""
        self.url = ""
        self._folder = folder
        self._created = 0

    def create(self, kind: str, repo_id: str, creator: str) -> Repository:
        """Make an empty repository."""
        self._created += 1
        made = Repository(kind, repo_id, self._folder / str(self._created), creator)
        self.repos[kind, repo_id] = made
        return made

    def get(self, kind: str, repo_id: str) -> Repository | None:
        """Return a repository, whoever asks."""
        found = self.repos.get((kind, repo_id))
        return FolderRepository(kind, repo_id, found) if isinstance(found, Path) else found

    def page(self, kind: str, repo_id: str) -> str:
        """Return the address of a repository."""
        return f"{self.url}/{repo_id}" if kind == "models" else f"{self.url}/{kind}/{repo_id}"


def is_large(name: str, size: int, sample: bytes) -> bool:
    """Tell whether the Hub wants a content in large file storage: by name, by size, or because it is no text."""
    return size > 0 and (LARGE.fullmatch(name) is not None or size > LFS_SIZE or b"\0" in sample)


def read_front_matter(text: str) -> Any:
    """Parse the YAML on top of a card; None without any. Raises yaml.YAMLError."""
    match = re.match(r"---\r?\n(.*?)\r?\n---\s*(?:\n|$)", text, re.DOTALL)
    return yaml.safe_load(match[1]) if match else None


def git_sha1(content: bytes) -> str:
    """Name a content as git does."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@lru_cache(maxsize=4096)
def _hash_file(path: Path, modified: int) -> tuple[str, str]:
    """Return git's sha1 and the sha256 of a file; `modified` (ns) makes a changed file another key."""
    sha1, sha256 = hashlib.sha1(b"blob %d\0" % path.stat().st_size), hashlib.sha256()
    with path.open("rb") as opened:
        while part := opened.read(2**20):
            sha1.update(part)
            sha256.update(part)
    return sha1.hexdigest(), sha256.hexdigest()
