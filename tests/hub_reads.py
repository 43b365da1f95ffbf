"""What the loopback Hub of the tests answers to who reads: users, repositories, trees and files.

As huggingface_hub 2.4 asks with HF_HUB_DISABLE_XET=1. Nothing here knows of sockets.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

import yaml
from hub_exchange import (
    STRANGER,
    Account,
    Answer,
    Refusal,
    Request,
    answer_json,
    check_gate,
    find_commit,
    get_readable,
    get_writable,
)
from hub_store import CONVERTED, Commit, File, Repository, Store, read_front_matter


API = r"/api/(?P<kind>models|datasets|spaces)"
REPO = rf"{API}/(?P<repo_id>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo_id>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"


def send_user(store: Store, request: Request) -> Answer:
    """GET /api/whoami-v2."""
    account = request.account
    if account is None:
        raise Refusal(401, STRANGER)
    orgs = [{"type": "org", "name": name, "fullname": name, "roleInOrg": role} for name, role in account.orgs.items()]
    token: dict[str, Any] = {"displayName": f"{account.user}-token", "role": account.role}
    if account.role == "fineGrained":
        scoped = [
            {"entity": {"type": _entity_type(store, account, name), "name": name}, "permissions": list(permissions)}
            for name, permissions in account.scopes.items()
        ]
        token["fineGrained"] = {"canReadGatedRepos": True, "global": [], "scoped": scoped}
    auth = {"type": "access_token", "accessToken": token}
    return answer_json({"type": "user", "name": account.user, "fullname": account.user, "orgs": orgs, "auth": auth})


def check_read(store: Store, request: Request) -> Answer:
    """GET auth-check."""
    check_gate(get_readable(store, request), request.account)
    return answer_json({})


def check_write(store: Store, request: Request) -> Answer:
    """GET auth-check/write."""
    get_writable(store, request)
    return answer_json({})


def list_repos(store: Store, request: Request) -> Answer:
    """GET /api/models with author and search."""
    author, search = request.query.get("author"), request.query.get("search", "").lower()
    listed = []
    for kind, repo_id in sorted(store.repos):
        wanted = kind == request.kind and author in (None, repo_id.split("/")[0]) and search in repo_id.lower()
        repo = store.get(kind, repo_id) if wanted else None
        if repo and (not repo.private or (request.account and request.account.may_read(repo_id))):
            listed.append(_describe(repo, find_commit(repo, "main")))
    return answer_json(listed)


def send_info(store: Store, request: Request) -> Answer:
    """GET a repository's information at a revision."""
    repo = get_readable(store, request)
    commit = find_commit(repo, request.revision)
    info = _describe(repo, commit)
    if request.is_asked("blobs"):
        for sibling in info["siblings"]:
            sibling.update(_describe_blob(commit.files[sibling["rfilename"]]))
    return answer_json(info)


def send_refs(store: Store, request: Request) -> Answer:
    """GET branches and tags."""
    repo = get_readable(store, request)
    converts = {"parquet": repo.branches["main"]} if repo.read_only and repo.kind == "datasets" else {}

    def name(refs: Mapping[str, str], place: str) -> list[dict[str, str]]:
        return [{"name": each, "ref": f"{place}{each}", "targetCommit": at} for each, at in refs.items()]

    heads, tags = name(repo.branches, "refs/heads/"), name(repo.tags, "refs/tags/")
    places = {"branches": heads, "tags": tags, "converts": name(converts, CONVERTED.removesuffix("parquet"))}
    return answer_json({**places, "pullRequests": []})


def send_commits(store: Store, request: Request) -> Answer:
    """GET the history of a revision."""
    repo = get_readable(store, request)
    listed = []
    for each in repo.history(find_commit(repo, request.revision)):
        words = {"id": each.id, "title": each.title, "message": each.message, "date": each.date}
        listed.append({**words, "authors": [{"user": each.author}]})
    return answer_json(listed)


def send_tree(store: Store, request: Request) -> Answer:
    """GET the files and folders below a path."""
    repo = get_readable(store, request)
    commit = find_commit(repo, request.revision)
    inside = f"{request.path.strip('/')}/" if request.path.strip("/") else ""
    below = [name.removeprefix(inside).split("/") for name in commit.files if name.startswith(inside)]
    if inside and not below:
        raise Refusal(404, f'{request.path} does not exist on "{request.revision}"', "EntryNotFound")
    if request.is_asked("recursive"):
        listed = {"/".join(parts[:depth]) for parts in below for depth in range(1, len(parts) + 1)}
    else:
        listed = {parts[0] for parts in below}
    return answer_json(_list_entries(request, repo, commit, [inside + each for each in sorted(listed)]))


def send_paths(store: Store, request: Request) -> Answer:
    """POST paths-info: those of some paths that are there. The client of 2.4 sends a form, older ones JSON."""
    repo = get_readable(store, request)
    commit = find_commit(repo, request.revision)
    if request.body.startswith(b"{"):
        paths, expand = request.json["paths"], str(request.json.get("expand", ""))
    else:
        pairs = parse_qsl(request.body.decode())
        paths, expand = [value for key, value in pairs if key == "paths"], dict(pairs).get("expand", "")
    there = [path for path in paths if _name_content(commit, path)]
    return answer_json(_list_entries(replace(request, query={"expand": expand}), repo, commit, there))


def send_file(store: Store, request: Request) -> Answer:
    """GET or HEAD a file's content, or a part of it."""
    commit, file = _find_file(store, request)
    headers = {"X-Repo-Commit": commit.id, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    headers["Content-Type"] = "application/octet-stream"
    if file.is_lfs:
        headers |= {"X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.etag}"'}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.asked_range)
    if not match:
        return Answer(headers=headers, path=file.path, length=file.size)
    first = int(match[1]) if match[1] else max(file.size - int(match[2]), 0)
    last = min(int(match[2]), file.size - 1) if match[1] and match[2] else file.size - 1
    if first >= file.size:
        return Answer(status=416, headers={"Content-Range": f"bytes */{file.size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    return Answer(status=206, headers=headers, path=file.path, first=first, length=last - first + 1)


def send_raw(store: Store, request: Request) -> Answer:
    """GET what git holds: of a large file, its pointer."""
    _, file = _find_file(store, request)
    return Answer(headers={"Content-Type": "text/plain"}, body=file.pointer if file.is_lfs else file.path.read_bytes())


READS = [
    ("GET", "/api/whoami-v2", send_user),
    ("GET", API, list_repos),
    ("GET", f"{REPO}(?:/revision/{REVISION})?", send_info),
    ("GET", f"{REPO}/auth-check", check_read),
    ("GET", f"{REPO}/auth-check/write", check_write),
    ("GET", f"{REPO}/refs", send_refs),
    ("GET", f"{REPO}/commits/{REVISION}", send_commits),
    ("GET", f"{REPO}/tree/{REVISION}(?:/(?P<path>.+))?", send_tree),
    ("POST", f"{REPO}/paths-info/{REVISION}", send_paths),
    ("GET", f"{PAGE}/resolve/{REVISION}/(?P<path>.+)", send_file),
    ("GET", f"{PAGE}/raw/{REVISION}/(?P<path>.+)", send_raw),
]


def _entity_type(store: Store, account: Account, name: str) -> str:
    if name in (account.user, *account.orgs):
        return "user" if name == account.user else "org"
    return next((kind[:-1] for kind, repo_id in store.repos if repo_id == name), "model")


def _find_file(store: Store, request: Request) -> tuple[Commit, File]:
    repo = get_readable(store, request)
    commit = find_commit(repo, request.revision)
    check_gate(repo, request.account)
    if request.path not in commit.files:
        raise Refusal(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.id})
    return commit, commit.files[request.path]


def _describe(repo: Repository, commit: Commit) -> dict[str, Any]:
    card = _read_card(commit)
    named = {key: card[key] for key in ("pipeline_tag", "library_name") if key in card}
    return {
        "_id": repo.repo_id,
        "id": repo.repo_id,
        **({"modelId": repo.repo_id, **named} if repo.kind == "models" else {}),
        "author": repo.repo_id.split("/")[0],
        "sha": commit.id,
        "lastModified": commit.date,
        "createdAt": repo.history(commit)[-1].date,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "tags": card.get("tags") or [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": name} for name in sorted(commit.files)],
        "cardData": card,
    }


def _read_card(commit: Commit) -> dict[str, Any]:
    readme = commit.files.get("README.md")
    try:
        card = read_front_matter(readme.path.read_text(encoding="utf-8")) if readme else None
    except yaml.YAMLError:
        return {}
    return card if isinstance(card, dict) else {}


def _describe_blob(file: File) -> dict[str, Any]:
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": len(file.pointer)} if file.is_lfs else None
    return {"size": file.size, "blobId": file.oid, **({"lfs": lfs} if lfs else {})}


def _list_entries(request: Request, repo: Repository, commit: Commit, paths: Iterable[str]) -> list[dict[str, Any]]:
    entries = []
    for path in paths:
        file = commit.files.get(path)
        entry: dict[str, Any] = {
            "type": "file" if file else "directory",
            "path": path,
            "size": file.size if file else 0,
        }
        entry["oid"] = _name_content(commit, path)
        if file and file.is_lfs:
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": len(file.pointer)}
        if request.is_asked("expand"):
            last = _find_last_change(repo, commit, path)
            entry["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
        entries.append(entry)
    return entries


def _find_last_change(repo: Repository, commit: Commit, path: str) -> Commit:
    history = repo.history(commit)
    for newer, older in pairwise(history):
        if _name_content(newer, path) != _name_content(older, path):
            return newer
    return history[-1]


def _name_content(commit: Commit, path: str) -> str:
    """Return the oid of a file or of a folder; nothing where there is none."""
    if path in commit.files:
        return commit.files[path].oid
    inside = [f"{name}:{file.etag}" for name, file in sorted(commit.files.items()) if name.startswith(f"{path}/")]
    return hashlib.sha1("\n".join(inside).encode()).hexdigest() if inside else ""
