"""What the loopback Hub of the tests answers to who writes: repositories, branches, tags, uploads and commits.

As huggingface_hub 2.4 asks with HF_HUB_DISABLE_XET=1: contents go through git's large file storage.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from hub_exchange import JSON, STRANGER, Answer, Refusal, Request, answer_json, find_commit, get_writable
from hub_reads import PAGE, REPO, REVISION
from hub_store import File, Repository, Store, is_large, read_front_matter


def create_repo(store: Store, request: Request) -> Answer:
    """POST /api/repos/create."""
    asked, account = request.json, request.account
    if account is None:
        raise Refusal(401, STRANGER)
    name, namespace = asked.get("type") or "model", asked.get("organization") or account.user
    kind, repo_id = f"{name}s", f"{namespace}/{asked['name']}"
    if not account.may_write(repo_id, account.user):
        raise Refusal(403, f'You don\'t have the rights to create a {name} under the namespace "{namespace}"')
    url = store.page(kind, repo_id)
    if (kind, repo_id) in store.repos:
        return answer_json({"error": f"You already created this {name} repo", "url": url}, status=409)
    repo = store.create(kind, repo_id, account.user)
    repo.private = asked.get("visibility") == "private" or bool(asked.get("private"))
    return answer_json({"url": url, "name": repo_id, "id": repo_id})


def delete_repo(store: Store, request: Request) -> Answer:
    """DELETE /api/repos/delete."""
    asked, user = request.json, request.account.user if request.account else ""
    kind, repo_id = f"{asked.get('type') or 'model'}s", f"{asked.get('organization') or user}/{asked['name']}"
    get_writable(store, Request(account=request.account, kind=kind, repo_id=repo_id))
    del store.repos[kind, repo_id]
    return answer_json({})


def change_settings(store: Store, request: Request) -> Answer:
    """PUT settings: visibility and gating."""
    repo, asked = get_writable(store, request), request.json
    if "visibility" in asked:
        repo.private = asked["visibility"] == "private"
    repo.gated = asked.get("gated", repo.gated)
    return answer_json({"private": repo.private, "gated": repo.gated})


def create_branch(store: Store, request: Request) -> Answer:
    """POST a branch."""
    repo = get_writable(store, request)
    if request.revision in repo.branches:
        raise Refusal(409, f"Reference already exists: refs/heads/{request.revision}")
    repo.branches[request.revision] = find_commit(repo, request.json.get("startingPoint", "main")).id
    return answer_json({})


def delete_branch(store: Store, request: Request) -> Answer:
    """DELETE a branch."""
    repo = get_writable(store, request)
    if request.revision == "main":
        raise Refusal(403, "Cannot delete refs/heads/main")
    if repo.branches.pop(request.revision, None) is None:
        raise Refusal(404, f"Invalid rev id: {request.revision}", "RevisionNotFound")
    return answer_json({})


def create_tag(store: Store, request: Request) -> Answer:
    """POST a tag."""
    repo, tag = get_writable(store, request), request.json["tag"]
    if tag in repo.tags:
        raise Refusal(409, f"Tag reference exists already: refs/tags/{tag}")
    repo.tags[tag] = find_commit(repo, request.revision).id
    return answer_json({})


def delete_tag(store: Store, request: Request) -> Answer:
    """DELETE a tag."""
    repo = get_writable(store, request)
    if repo.tags.pop(request.revision, None) is None:
        raise Refusal(404, f"Invalid rev id: {request.revision}", "RevisionNotFound")
    return answer_json({})


def validate_yaml(store: Store, request: Request) -> Answer:
    """POST a card: the errors and warnings of its metadata."""
    try:
        card = read_front_matter(request.json["content"])
    except yaml.YAMLError as error:
        errors = [f"YAML parsing error: {str(error).splitlines()[0]}"]
    else:
        errors = [] if card is None else _find_mistakes(card)
        if not card:
            warning = {"message": "empty or missing yaml metadata in repo card"}
            return answer_json({"errors": [], "warnings": [warning]})
    told = {"errors": [{"message": each} for each in errors], "warnings": []}
    return answer_json(told, status=400 if errors else 200)


def preupload(store: Store, request: Request) -> Answer:
    """POST names, sizes and samples: which go to large file storage, and what is there already."""
    repo = get_writable(store, request)
    held, answers = find_commit(repo, request.revision).files, []
    for asked in request.json["files"]:
        path, sample = asked["path"], base64.b64decode(asked.get("sample", ""))
        mode = "lfs" if is_large(path, asked["size"], sample) else "regular"
        there = {"oid": held[path].etag} if path in held else {}
        answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, **there})
    return answer_json({"files": answers})


def plan_uploads(store: Store, request: Request) -> Answer:
    """POST to large file storage: where to put what this repository does not have yet, or never verified."""
    repo = get_writable(store, request)
    verify = {"href": f"{store.page(repo.kind, repo.repo_id)}.git/info/lfs/objects/verify", "header": {}}
    objects = []
    for asked in request.json["objects"]:
        upload = {"href": f"{store.url}/storage/{repo.kind}/{repo.repo_id}/{asked['oid']}", "header": {}}
        held = asked["oid"] in repo.blobs and asked["oid"] not in repo.unverified
        actions = {} if held else {"actions": {"upload": upload, "verify": verify}}
        objects.append({"oid": asked["oid"], "size": asked["size"], **actions})
    return answer_json({"transfer": "basic", "objects": objects})


def store_blob(store: Store, request: Request) -> Answer:
    """PUT a content where `plan_uploads` said; as with S3, the address is all the permission there is."""
    repo = store.get(request.kind, request.repo_id)
    if repo is None or hashlib.sha256(request.body).hexdigest() != request.oid:
        return Answer(status=400, body=b"BadDigest")
    repo.add_blob(request.body)
    repo.unverified.add(request.oid)
    store.uploaded.append(request.oid)
    return Answer(headers={"ETag": f'"{request.oid}"'})


def verify_blob(store: Store, request: Request) -> Answer:
    """POST after an upload: is it whole?"""
    repo, asked = get_writable(store, request), request.json
    if asked["oid"] not in repo.blobs or repo.get_blob(asked["oid"]).size != asked["size"]:
        raise Refusal(404, f"LFS object {asked['oid']} not found")
    repo.unverified.discard(asked["oid"])
    return Answer(headers=JSON, body=b"{}")


def commit(store: Store, request: Request) -> Answer:
    """POST a commit as lines of JSON: a header, then one line for each change."""
    repo = get_writable(store, request)
    head, *changes = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    told = head["value"]
    if request.revision not in repo.branches:
        raise Refusal(404, f"Invalid rev id: {request.revision}", "RevisionNotFound")
    if told.get("parentCommit") not in (None, repo.branches[request.revision]):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    files = dict(find_commit(repo, request.revision).files)
    for change in changes:
        CHANGES[change["key"]](repo, files, change["value"])
    author = request.account.user if request.account else ""
    made = repo.commit(request.revision, told["summary"], files, told.get("description", ""), author)
    url = f"{store.page(repo.kind, repo.repo_id)}/commit/{made.id}"
    return answer_json({"success": True, "commitOid": made.id, "commitUrl": url, "hookOutput": ""})


WRITES = [
    ("POST", "/api/repos/create", create_repo),
    ("DELETE", "/api/repos/delete", delete_repo),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("PUT", f"{REPO}/settings", change_settings),
    ("POST", f"{REPO}/branch/{REVISION}", create_branch),
    ("DELETE", f"{REPO}/branch/{REVISION}", delete_branch),
    ("POST", f"{REPO}/tag/{REVISION}", create_tag),
    ("DELETE", f"{REPO}/tag/{REVISION}", delete_tag),
    ("POST", f"{REPO}/preupload/{REVISION}", preupload),
    ("POST", rf"{PAGE}\.git/info/lfs/objects/batch", plan_uploads),
    ("PUT", r"/storage/(?P<kind>[a-z]+)/(?P<repo_id>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})", store_blob),
    ("POST", rf"{PAGE}\.git/info/lfs/objects/verify", verify_blob),
    ("POST", f"{REPO}/commit/{REVISION}", commit),
]


def _find_mistakes(card: Any) -> list[str]:
    if not isinstance(card, dict):
        return ["metadata must be an object"]
    lists = {"tags": (list,), "model-index": (list,), "datasets": (list, str), "metrics": (list, str)}
    return [f'"{key}" must be an array' for key, kinds in lists.items() if not isinstance(card.get(key, []), kinds)]


def _write_file(repo: Repository, files: dict[str, File], value: Mapping[str, Any]) -> None:
    text = value["content"]
    content = base64.b64decode(text) if value.get("encoding") == "base64" else text.encode()
    files[value["path"]] = repo.add_file(content)


def _write_large_file(repo: Repository, files: dict[str, File], value: Mapping[str, Any]) -> None:
    if value["oid"] not in repo.blobs:
        raise Refusal(400, f"Your push was rejected: LFS object {value['oid']} does not exist")
    files[value["path"]] = repo.get_blob(value["oid"])


def _delete_file(repo: Repository, files: dict[str, File], value: Mapping[str, Any]) -> None:
    if files.pop(value["path"], None) is None:
        raise Refusal(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")


def _delete_folder(repo: Repository, files: dict[str, File], value: Mapping[str, Any]) -> None:
    inside = [name for name in files if name.startswith(value["path"].rstrip("/") + "/")]
    if not inside:
        raise Refusal(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")
    for name in inside:
        del files[name]


CHANGES: Mapping[str, Callable[[Repository, dict[str, File], Mapping[str, Any]], None]] = {
    "file": _write_file,
    "lfsFile": _write_large_file,
    "deletedFile": _delete_file,
    "deletedFolder": _delete_folder,
}
