"""One folder as one commit, against the loopback Hub: whole, repeatable, compared, tagged."""

from pathlib import Path
from typing import Any

import pytest

from hf_tune.hub import patience
from hf_tune.hub.hub_commit import Repository, list_files, name_tag
from hf_tune.input_error import PushFailed


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.001)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a large file, a text and a picture in a folder."""
    folder = tmp_path / "folder"
    (folder / "plots").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 50)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "plots" / "curves.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def repository(hub: Any) -> Repository:
    repository = Repository("alice/a")
    repository.create(private=True)
    return repository


def content(folder: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in list_files(folder).items()}


def on_hub(hub: Any, revision: str = "main") -> dict[str, bytes]:
    return {name: data for name, data in hub.files("alice/a", revision).items() if name != ".gitattributes"}


def test_a_repository_is_made_private_and_stays_as_it_is(hub: Any, repository: Repository) -> None:
    assert hub.repos["models", "alice/a"].private
    repository.create(private=False)
    assert hub.repos["models", "alice/a"].private


def test_a_folder_is_one_commit(hub: Any, repository: Repository, folder: Path) -> None:
    before = len(hub.commits("alice/a"))
    commit = repository.commit(folder, "main", "a message")
    assert on_hub(hub) == content(folder)
    assert len(hub.commits("alice/a")) == before + 1
    assert hub.commits("alice/a")[0].title == "a message" and hub.heads("alice/a")["main"] == commit.oid


def test_repeating_sends_and_commits_nothing(hub: Any, repository: Repository, folder: Path) -> None:
    first = repository.commit(folder, "main", "a message")
    sent, commits = list(hub.uploaded), len(hub.commits("alice/a"))
    assert repository.commit(folder, "main", "again") == first
    assert hub.uploaded == sent and len(hub.commits("alice/a")) == commits


def test_another_branch_is_made_and_takes_no_file_twice(hub: Any, repository: Repository, folder: Path) -> None:
    repository.commit(folder, "unverified", "aside")
    assert on_hub(hub) == {} and on_hub(hub, "unverified") == content(folder)
    sent = list(hub.uploaded)
    repository.commit(folder, "main", "a message")
    assert on_hub(hub) == content(folder) and hub.uploaded == sent


def test_files_of_an_earlier_run_go_and_those_of_others_stay(hub: Any, repository: Repository, folder: Path) -> None:
    strange = {
        "adapter_model.safetensors": b"old",
        "adapter_config.json": b"{}",
        "tokenizer.json": b"{}",
        "plots/old.png": b"",
    }
    hub.commit("alice/a", {**strange, "LICENSE": b"mine", "demo/a.py": b"mine"})
    repository.commit(folder, "main", "a message")
    assert on_hub(hub) == {**content(folder), "LICENSE": b"mine", "demo/a.py": b"mine"}


def test_a_commit_whose_answer_is_lost_is_made_once(hub: Any, repository: Repository, folder: Path) -> None:
    before = len(hub.commits("alice/a"))
    hub.fault("POST .*/commit/main", drop=True, after=True)
    commit = repository.commit(folder, "main", "a message")
    assert len(hub.commits("alice/a")) == before + 1 and hub.heads("alice/a")["main"] == commit.oid


def test_a_commit_of_somebody_else_in_between_is_kept(
    hub: Any, repository: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("alice/a", {"LICENSE": b"mine"})
    hub.fault("POST .*/commit/main", status=412)
    repository.commit(folder, "main", "a message")
    assert on_hub(hub) == {**content(folder), "LICENSE": b"mine"}


def test_other_content_on_the_hub_is_noticed(
    hub: Any, repository: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = repository.api.upload_folder

    def change(**arguments: Any) -> Any:
        made = upload(**arguments)
        hub.commit("alice/a", {"model.safetensors": b"other"})
        made.oid = hub.heads("alice/a")["main"]
        return made

    monkeypatch.setattr(repository.api, "upload_folder", change)
    with pytest.raises(PushFailed, match=r"model\.safetensors of .* has another content there"):
        repository.commit(folder, "main", "a message")


def test_a_tag_names_the_newest_commit_of_its_content(hub: Any, repository: Repository, folder: Path) -> None:
    first = repository.commit(folder, "main", "a message")
    for _ in range(2):
        repository.tag(first, name_tag(folder))
    assert hub.heads("alice/a")[name_tag(folder)] == first.oid
    hub.commit("alice/a", {"LICENSE": b"mine"})
    (folder / "README.md").write_text("---\nlicense: mit\n---\nmore\n")
    second = repository.commit(folder, "main", "a message")
    repository.tag(second, "run-x")
    repository.tag(first, "run-x")
    assert hub.heads("alice/a")["run-x"] == first.oid


def test_the_name_of_a_tag_changes_with_any_file(folder: Path) -> None:
    names = {name_tag(folder)}
    (folder / "model.safetensors").write_bytes(b"other")
    names.add(name_tag(folder))
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    names.add(name_tag(folder))
    assert len(names) == 3 and all(name.startswith("run-") and len(name) == 16 for name in names)


def test_what_is_downloaded_is_what_was_committed(
    hub: Any, repository: Repository, folder: Path, tmp_path: Path
) -> None:
    commit = repository.commit(folder, "main", "a message")
    downloaded = repository.download(commit, tmp_path / "cache")
    found = {name: (downloaded / name).read_bytes() for name in content(folder)}
    assert found == content(folder)


@pytest.mark.parametrize(("step", "branch"), [("POST .*/branch/", "other"), ("POST .*/preupload/", "main")])
def test_a_right_that_was_lost_is_told(hub: Any, repository: Repository, folder: Path, step: str, branch: str) -> None:
    hub.fault(step, times=99, status=403)
    with pytest.raises(PushFailed, match="the token may not do this"):
        repository.commit(folder, branch, "a message")


def test_a_repository_that_may_not_be_made_is_told(hub: Any) -> None:
    hub.fault("POST /api/repos/create", times=99, status=403)
    with pytest.raises(PushFailed, match="making alice/b: the token may not do this"):
        Repository("alice/b").create(private=True)
