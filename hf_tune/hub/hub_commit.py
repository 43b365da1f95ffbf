"""One folder as one commit of a repository on the Hub: made where it is not there, compared afterwards, and tagged."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_tune.file_hashes import hash_blob, hash_file
from hf_tune.hub.patience import ask
from hf_tune.input_error import PushFailed


_REPLACED = (
    *("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json"),
    *("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "*.model"),
    *("plots/*", "predictions.parquet", "reference.parquet", "results.json", "log.jsonl", "recipe.yaml"),
)
"""Files of an earlier run that a commit deletes where the new one has none: never two runs in one folder."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What stands on the Hub."""

    repo_id: str
    revision: str
    """The branch."""
    oid: str
    """The commit."""


class Repository:
    """A model repository of the Hub, asked with the patience of `ask`."""

    def __init__(self, repo_id: str, stop: threading.Event | None = None) -> None:
        """Ask nothing yet; an event ends all waiting."""
        from huggingface_hub import HfApi

        self.api = HfApi()
        self.repo_id = repo_id
        self.stop = stop

    @property
    def url(self) -> str:
        """Return the address of its page."""
        return f"{self.api.endpoint}/{self.repo_id}"

    def create(self, private: bool) -> None:
        """Make the repository where it is not there; one that is there stays as it is."""
        self._ask(lambda: self.api.create_repo(self.repo_id, private=private, exist_ok=True), f"making {self.repo_id}")

    def commit(self, folder: Path, revision: str, message: str) -> Commit:
        """Bring the whole folder to a branch as one commit, and raise `PushFailed` where it is not what stands there.

        It may be repeated: files that are there are not sent again, and of a folder that is there no commit is made.
        """
        if revision != "main":
            self._ask(
                lambda: self.api.create_branch(self.repo_id, branch=revision, exist_ok=True),
                f"making the branch {revision} of {self.repo_id}",
            )
        made = self._ask(
            lambda: self.api.upload_folder(
                repo_id=self.repo_id,
                folder_path=folder,
                revision=revision,
                commit_message=message,
                delete_patterns=list(_REPLACED),
            ),
            f"pushing {folder} to {self.repo_id}",
        )
        self._compare(folder, made.oid)
        return Commit(repo_id=self.repo_id, revision=revision, oid=made.oid)

    def tag(self, commit: Commit, name: str) -> None:
        """Let a tag name the commit, and no other any more."""

        def call() -> None:
            tags = {each.name: each.target_commit for each in self.api.list_repo_refs(self.repo_id).tags}
            if name in tags and tags[name] != commit.oid:
                self.api.delete_tag(self.repo_id, tag=name)
            if tags.get(name) != commit.oid:
                self.api.create_tag(self.repo_id, tag=name, revision=commit.oid, exist_ok=True)

        self._ask(call, f"tagging {self.repo_id}")

    def download(self, commit: Commit, cache: Path) -> Path:
        """Return the folder of a commit, downloaded to an empty cache."""
        from huggingface_hub import snapshot_download

        return Path(
            self._ask(
                lambda: snapshot_download(self.repo_id, revision=commit.oid, cache_dir=cache),
                f"downloading {self.repo_id} to compare it",
            )
        )

    def _ask(self, call: Any, doing: str) -> Any:
        return ask(call, doing, stop=self.stop)

    def _compare(self, folder: Path, oid: str) -> None:
        """Raise where the Hub's files of a commit are not those of the folder, by their hashes."""
        listed = self._ask(
            lambda: list(self.api.list_repo_tree(self.repo_id, recursive=True, revision=oid)),
            f"comparing {self.repo_id} with {folder}",
        )
        there = {each.path: each for each in listed if hasattr(each, "blob_id")}
        for name, path in list_files(folder).items():
            found = there.get(name)
            own = None if found is None else hash_file(path) if found.lfs else hash_blob(path)
            if found is None or own != (found.lfs.sha256 if found.lfs else found.blob_id):
                problem = "is not there" if found is None else "has another content there"
                raise PushFailed(f"{name} of {folder} {problem}: {self.repo_id} at {oid[:12]}")


def list_files(folder: Path) -> dict[str, Path]:
    """Return every file of a folder by its name in a repository."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def name_tag(folder: Path) -> str:
    """Return `run-` and twelve hexadecimal digits that change with any file of a folder."""
    digest = hashlib.sha256()
    for name, path in list_files(folder).items():
        digest.update(f"{name}:{hash_file(path)}\n".encode())
    return f"run-{digest.hexdigest()[:12]}"
