"""Which data set of the Hub, at which commit, a loaded data set is: what makes a result repeatable."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILE = re.compile(r"hf://datasets/(?P<id>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>[^/\s]+))?(?:/|$)")


@dataclass(frozen=True, kw_only=True)
class HubData:
    """A data set as the Hub knows it."""

    id: str
    revision: str | None
    """Commit; None where `datasets` does not tell it."""
    config: str | None


def find_hub_data(load: Mapping[str, Any], raw: Mapping[str, Any]) -> HubData | None:
    """Return what a `load:` block fetched from the Hub; None for local files, own loaders and a mixture.

    datasets 5.2 leaves `info.download_checksums` empty. The commit stands in the name of the folder that a table is
    cached in, and in the addresses of the files that a stream reads.
    """
    path = str(load["path"])
    named = [match for text in _find_strings([path, load.get("data_files")]) if (match := _FILE.match(text))]
    if named:
        ids, revisions = {match["id"] for match in named}, {match["revision"] for match in named}
        revision = revisions.pop() if len(revisions) == 1 else None
        return HubData(id=ids.pop(), revision=_as_commit(revision), config=None) if len(ids) == 1 else None
    rows = next(iter(raw.values()))
    if ":" in path or os.path.isdir(path) or rows.info.builder_name in (None, path):
        return None
    commits = {commit for rows in raw.values() for commit in _find_commits(rows)}
    revision = commits.pop() if len(commits) == 1 else _as_commit(load.get("revision"))
    return HubData(id=path, revision=revision, config=load.get("name") or rows.info.config_name)


def _find_commits(rows: Any) -> Iterator[str]:
    """Yield the commits that a table's cache, or the files of a stream, are named by."""
    for file in getattr(rows, "cache_files", ()):
        if commit := _as_commit(Path(file["filename"]).parent.name):
            yield commit
    part = getattr(rows, "_ex_iterable", None)
    while part is not None:
        match = next(
            (match for text in _find_strings(getattr(part, "kwargs", {})) if (match := _FILE.match(text))), None
        )
        if match and (commit := _as_commit(match["revision"])):
            yield commit
        part = getattr(part, "ex_iterable", None)


def _as_commit(text: Any) -> str | None:
    return text if isinstance(text, str) and _COMMIT.fullmatch(text) else None


def _find_strings(value: Any) -> Iterator[str]:
    """Yield the words in lists and mappings, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _find_strings(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _find_strings(each)
