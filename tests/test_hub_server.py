"""The loopback Hub of the tests, asked by the real clients in this process."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


LARGE = b"weights" * 1000
ATTRIBUTES = ".gitattributes"


@pytest.fixture
def api(hub: Any) -> Iterator[Any]:
    """Return alice's client."""
    from huggingface_hub import HfApi

    return HfApi()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a card, a small file in a folder, and weights."""
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "README.md").write_text("---\nlicense: mit\ntags: [a, b]\n---\n# Card\n")
    (tmp_path / "model" / "deep" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").write_bytes(LARGE)
    return tmp_path / "model"


def status_of(error: Any) -> int:
    """Return the HTTP status of an error that pytest caught."""
    return error.value.response.status_code


def test_folders_are_served_as_they_stand_and_not_written(tmp_path: Path, hub: Any, api: Any, folder: Path) -> None:
    import datasets
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    (tmp_path / "rows").mkdir()
    datasets.Dataset.from_dict({"a": [1, 2]}).to_parquet(tmp_path / "rows" / "train.parquet")
    hub.repos["models", "owner/model"] = folder
    hub.repos["datasets", "owner/rows"] = tmp_path / "rows"
    path = Path(hf_hub_download("owner/model", "deep/config.json"))
    sha = api.model_info("owner/model").sha
    assert path.read_text() == "{}" and sha in path.parts
    assert [entry.path for entry in api.list_repo_tree("owner/model")] == ["README.md", "deep", "model.safetensors"]
    assert datasets.load_dataset("owner/rows")["train"]["a"][:] == [1, 2]
    assert api.dataset_info("owner/rows", revision="refs/convert/parquet").sha == api.dataset_info("owner/rows").sha
    with pytest.raises(HfHubHTTPError) as error:
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="owner/model")
    assert status_of(error) == 403
    assert hub.files("owner/model")["deep/config.json"] == b"{}"


def test_what_is_not_there_has_an_error_of_its_own(hub: Any, api: Any) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    hub.create("alice/a", files={"config.json": b"{}"})
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("alice/none", "config.json")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("alice/none", token=False)
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("alice/a", "none.json")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("alice/a", revision="none")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("alice/a", "none"))


def test_a_folder_goes_up_and_its_blob_only_once(hub: Any, api: Any, folder: Path, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    sha256 = hashlib.sha256(LARGE).hexdigest()
    assert api.create_repo("alice/a").repo_id == "alice/a"
    first = api.upload_folder(repo_id="alice/a", folder_path=folder, commit_message="One")
    assert hub.heads("alice/a") == {"main": first.oid} and hub.uploaded == [sha256]
    assert set(hub.files("alice/a")) == {ATTRIBUTES, "README.md", "deep/config.json", "model.safetensors"}
    assert hub.files("alice/a")["model.safetensors"] == LARGE
    # The same again makes no commit; other words send no blob.
    assert api.upload_folder(repo_id="alice/a", folder_path=folder).oid == first.oid
    (folder / "deep" / "config.json").write_text('{"a": 1}')
    (folder / "copy.safetensors").write_bytes(LARGE)
    second = api.upload_folder(repo_id="alice/a", folder_path=folder, commit_message="Two")
    assert [commit.title for commit in hub.commits("alice/a")] == ["Two", "One", "initial commit"]
    assert hub.uploaded == [sha256]
    got = Path(snapshot_download("alice/a", revision=first.oid))
    assert (got / "deep" / "config.json").read_text() == "{}" and not (got / "copy.safetensors").exists()
    got = Path(snapshot_download("alice/a", local_dir=tmp_path / "got"))
    assert (got / "copy.safetensors").read_bytes() == LARGE
    assert [commit.commit_id for commit in api.list_repo_commits("alice/a")][:2] == [second.oid, first.oid]


def test_what_is_large_is_told_by_name_size_or_content(hub: Any, api: Any, tmp_path: Path) -> None:
    contents = {"a.txt": b"a" * (10 * 2**20 + 1), "b.txt": b"b\0", "c.bin": b"c", "d.txt": b"d", "empty.bin": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    api.create_repo("alice/a")
    api.upload_folder(repo_id="alice/a", folder_path=tmp_path)
    files = {entry.path: entry for entry in api.list_repo_tree("alice/a")}
    assert {name for name, entry in files.items() if entry.lfs} == {"a.txt", "b.txt", "c.bin"}
    assert files["c.bin"].lfs.sha256 == hashlib.sha256(b"c").hexdigest() and files["c.bin"].lfs.size == 1
    assert files["d.txt"].blob_id == hashlib.sha1(b"blob 1\0d").hexdigest()
    assert len(hub.uploaded) == 3


def test_information_holds_card_and_blobs(hub: Any, api: Any, folder: Path) -> None:
    hub.create("alice/a", files={"README.md": (folder / "README.md").read_bytes(), "model.safetensors": LARGE})
    info = api.model_info("alice/a", files_metadata=True)
    assert info.card_data.license == "mit" and info.tags == ["a", "b"] and info.private is False
    assert {each.rfilename: each.size for each in info.siblings}["model.safetensors"] == len(LARGE)
    blob = next(each.lfs for each in info.siblings if each.lfs)
    assert blob.sha256 == hashlib.sha256(LARGE).hexdigest() and blob.pointer_size > 100
    assert [each.id for each in api.list_models(author="alice", search="A")] == ["alice/a"]
    assert api.space_info(hub.create("alice/s", kind="spaces").repo_id).id == "alice/s"


def test_trees_name_folders_and_last_commits(hub: Any, api: Any) -> None:
    hub.create("alice/a", files={"x/y/z.txt": b"z", "x/w.txt": b"w"})
    later = hub.commit("alice/a", {"x/w.txt": b"W"})
    assert [entry.path for entry in api.list_repo_tree("alice/a", recursive=True)] == [
        ATTRIBUTES, "x", "x/w.txt", "x/y", "x/y/z.txt"
    ]  # fmt: skip
    assert [entry.path for entry in api.list_repo_tree("alice/a", "x")] == ["x/w.txt", "x/y"]
    last = {entry.path: entry.last_commit.oid for entry in api.list_repo_tree("alice/a", "x", expand=True)}
    assert last["x/w.txt"] == later.id and last["x/y"] == later.parent
    assert [entry.path for entry in api.get_paths_info("alice/a", ["x", "x/y/z.txt", "none"])] == ["x", "x/y/z.txt"]


def test_patterns_and_operations_delete(hub: Any, api: Any, folder: Path) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    hub.create("alice/a", files={"old.txt": b"1", "gone/a.txt": b"2", "gone/b.txt": b"3"})
    api.upload_folder(repo_id="alice/a", folder_path=folder / "deep", delete_patterns="*.txt")
    assert set(hub.files("alice/a")) == {ATTRIBUTES, "config.json"}
    hub.commit("alice/a", {"deep/x": b"x", "y": b"y"})
    api.delete_folder("deep", repo_id="alice/a")
    api.delete_file("y", repo_id="alice/a")
    assert set(hub.files("alice/a")) == {ATTRIBUTES, "config.json"}
    with pytest.raises(EntryNotFoundError, match="doesn't exist"):
        api.delete_file("y", repo_id="alice/a")


def test_branches_and_tags(hub: Any, api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

    hub.create("alice/a", files={"x": b"1"})
    first = hub.heads("alice/a")["main"]
    api.create_tag("alice/a", tag="v1/a")
    api.create_branch("alice/a", branch="try/it")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag("alice/a", tag="v1/a")
    assert status_of(error) == 409
    api.create_branch("alice/a", branch="try/it", exist_ok=True)
    commit = api.upload_file(path_or_fileobj=b"2", path_in_repo="x", repo_id="alice/a", revision="try/it")
    assert hub.heads("alice/a") == {"main": first, "v1/a": first, "try/it": commit.oid}
    assert hub.files("alice/a", "try/it")["x"] == b"2" and hub.files("alice/a", "v1/a")["x"] == b"1"
    refs = api.list_repo_refs("alice/a")
    assert {ref.name for ref in refs.branches} == {"main", "try/it"} and refs.tags[0].ref == "refs/tags/v1/a"
    api.delete_branch("alice/a", branch="try/it")
    api.delete_tag("alice/a", tag="v1/a")
    assert hub.heads("alice/a") == {"main": first}
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag("alice/a", tag="v1/a")
    with pytest.raises(RevisionNotFoundError):
        api.upload_file(path_or_fileobj=b"2", path_in_repo="x", repo_id="alice/a", revision="none")


def test_a_commit_onto_a_moved_head_is_refused(hub: Any, api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    hub.create("alice/a")
    old = hub.heads("alice/a")["main"]
    hub.commit("alice/a", {"other": b"1"})
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
        api.upload_file(path_or_fileobj=b"2", path_in_repo="x", repo_id="alice/a", parent_commit=old)
    assert status_of(error) == 412 and "x" not in hub.files("alice/a")


def test_repositories_are_created_once_changed_and_deleted(hub: Any, api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    assert api.create_repo("a", repo_type="dataset", private=True).url == f"{hub.url}/datasets/alice/a"
    with pytest.raises(HfHubHTTPError, match="already created this dataset repo") as error:
        api.create_repo("alice/a", repo_type="dataset")
    assert status_of(error) == 409
    assert api.create_repo("alice/a", repo_type="dataset", exist_ok=True).repo_type == "dataset"
    assert api.dataset_info("alice/a").private
    api.update_repo_settings("alice/a", repo_type="dataset", private=False)
    assert not api.dataset_info("alice/a").private
    api.delete_repo("alice/a", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("alice/a", repo_type="dataset")


def test_a_card_is_checked(hub: Any, api: Any) -> None:
    hub.create("alice/a")
    for text, message in (("---\na: [\n---\n", "YAML parsing error"), ("---\ntags: a\n---\n", "must be an array")):
        with pytest.raises(ValueError, match=message):
            api.upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id="alice/a")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.upload_file(path_or_fileobj=b"# Card", path_in_repo="README.md", repo_id="alice/a")


def test_tokens_tell_who_asks_and_what_for(hub: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import whoami
    from huggingface_hub.errors import HfHubHTTPError

    hub.add_account("hf_read", "bob", role="read", orgs={"lab": "write"})
    hub.add_account("hf_fine", "carol", role="fineGrained", scopes={"carol/a": ["repo.write"]})
    hub.add_account("hf_old", "dora", expired=True)
    assert whoami()["name"] == "alice" and whoami()["auth"]["accessToken"]["role"] == "write"
    bob = whoami("hf_read")
    assert bob["orgs"][0]["name"] == "lab" and bob["orgs"][0]["roleInOrg"] == "write"
    scoped = whoami("hf_fine")["auth"]["accessToken"]["fineGrained"]["scoped"]
    assert scoped == [{"entity": {"type": "model", "name": "carol/a"}, "permissions": ["repo.write"]}]
    assert api.create_repo("carol/a", token="hf_fine").repo_id == "carol/a"
    for token, message in (("hf_none", "Invalid credentials"), ("hf_old", "is expired")):
        with pytest.raises(HfHubHTTPError, match="Invalid user token") as error:
            whoami(token)
        assert status_of(error) == 401 and message in str(error.value.__cause__)
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert whoami()["name"] == "bob"


@pytest.mark.parametrize(
    ("role", "orgs", "repo_id", "allowed"),
    [
        ("write", {}, "bob/a", True),
        ("read", {}, "bob/a", False),
        ("fineGrained", {}, "bob/a", False),
        ("write", {}, "lab/a", False),
        ("write", {"lab": "read"}, "lab/a", False),
        ("write", {"lab": "contributor"}, "lab/a", True),
        ("write", {"lab": "admin"}, "lab/a", True),
    ],
)
def test_rights_decide_who_creates(
    role: str, orgs: dict[str, str], repo_id: str, allowed: bool, hub: Any, api: Any
) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    hub.add_account("hf_bob", "bob", role=role, orgs=orgs)
    if allowed:
        api.create_repo(repo_id, token="hf_bob")
        api.upload_file(path_or_fileobj=b"1", path_in_repo="x", repo_id=repo_id, token="hf_bob")
        return
    with pytest.raises(HfHubHTTPError, match="don't have the rights to create a model") as error:
        api.create_repo(repo_id, token="hf_bob")
    assert status_of(error) == 403


def test_a_private_repository_is_hidden_from_others(hub: Any, api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    hub.create("bob/hidden", private=True, files={"x": b"1"})
    hub.create("bob/shown")
    for token in (None, False):
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("bob/hidden", token=token)
        with pytest.raises(RepositoryNotFoundError):
            api.hf_hub_download("bob/hidden", "x", token=token)
    assert [each.id for each in api.list_models(author="bob")] == ["bob/shown"]
    with pytest.raises(RepositoryNotFoundError):
        api.auth_check("bob/hidden", write=True)
    api.auth_check("bob/shown")
    with pytest.raises(HfHubHTTPError) as error:
        api.auth_check("bob/shown", write=True)
    assert status_of(error) == 403
    hub.add_account("hf_bob", "bob")
    api.auth_check("bob/hidden", write=True, token="hf_bob")
    assert Path(api.hf_hub_download("bob/hidden", "x", token="hf_bob")).read_bytes() == b"1"


def test_a_gated_repository_shows_its_page_only(hub: Any, api: Any) -> None:
    from huggingface_hub.errors import GatedRepoError

    repo = hub.create("bob/gated", files={"x": b"1"})
    repo.gated = "manual"
    assert api.model_info("bob/gated").gated == "manual"
    with pytest.raises(GatedRepoError):
        api.hf_hub_download("bob/gated", "x")
    with pytest.raises(GatedRepoError):
        api.auth_check("bob/gated")
    repo.granted.add("alice")
    assert Path(api.hf_hub_download("bob/gated", "x")).read_bytes() == b"1"


def test_a_cut_download_goes_on_where_it_stopped(hub: Any, api: Any) -> None:
    hub.create("alice/a", files={"model.safetensors": LARGE})
    hub.fault("^GET .*/resolve/", cut=3000)
    assert Path(api.hf_hub_download("alice/a", "model.safetensors")).read_bytes() == LARGE
    assert len([line for line in hub.requests if line.startswith("GET")]) == 2 and hub.waits == [1]


@pytest.mark.parametrize("how", [{"cut": 100}, {"drop": True}, {"status": 503}, {"after": True}])
def test_a_failed_upload_is_tried_again(how: dict[str, Any], hub: Any, api: Any) -> None:
    api.create_repo("alice/a")
    hub.fault("^PUT /storage/", times=2, **how)
    api.upload_file(path_or_fileobj=LARGE, path_in_repo="a.bin", repo_id="alice/a")
    assert hub.files("alice/a")["a.bin"] == LARGE and hub.waits == [1, 2]
    assert len(hub.uploaded) == (3 if "after" in how else 1) and len(hub.faults_taken) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500])
def test_an_injected_status_reaches_the_caller(status: int, hub: Any, api: Any) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    hub.create("alice/a")
    hub.fault("/api/models/alice/a$", status=status)
    with pytest.raises(HfHubHTTPError) as error:
        api.model_info("alice/a")
    assert status_of(error) == status
    assert api.model_info("alice/a").id == "alice/a"


def test_a_client_waits_as_long_as_it_is_told(hub: Any, api: Any) -> None:
    api.create_repo("alice/a")
    hub.fault("/preupload/", status=429, retry_after=30)
    hub.fault("/objects/batch", retry_after=0)
    api.upload_file(path_or_fileobj=LARGE, path_in_repo="a.bin", repo_id="alice/a")
    assert hub.waits == [31, 1]


def test_a_commit_may_be_made_without_the_client_knowing(hub: Any, api: Any) -> None:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    api.create_repo("alice/a")
    hub.fault("/commit/", after=True)
    with pytest.raises(httpx2.TransportError):
        api.upload_file(path_or_fileobj=b"1", path_in_repo="x", repo_id="alice/a")
    assert hub.files("alice/a")["x"] == b"1"
    hub.fault("/commit/", after=True, status=504)
    with pytest.raises(HfHubHTTPError) as error:
        api.upload_file(path_or_fileobj=b"2", path_in_repo="x", repo_id="alice/a")
    assert status_of(error) == 504 and hub.files("alice/a")["x"] == b"2"


def test_a_hub_that_is_away_comes_back(hub: Any, api: Any) -> None:
    import httpx2
    from huggingface_hub import hf_hub_download

    hub.create("alice/a", files={"x": b"1"})
    path = hf_hub_download("alice/a", "x")
    with hub.away():
        with pytest.raises(httpx2.ConnectError):
            api.model_info("alice/a")
        assert hf_hub_download("alice/a", "x") == path  # of the cache
    assert api.model_info("alice/a").id == "alice/a"
    hub.away(2)
    for _ in range(2):
        with pytest.raises(httpx2.RemoteProtocolError):
            api.model_info("alice/a")
    assert api.model_info("alice/a").id == "alice/a" and len(hub.faults_taken) == 2
    with hub.fault("", times=100, drop=True), pytest.raises(httpx2.RemoteProtocolError):
        api.model_info("alice/a")
    assert api.model_info("alice/a").id == "alice/a"


def test_a_client_outlasts_an_absence(hub: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils import _http

    gone, back = threading.Event(), threading.Event()

    def be_away() -> None:
        with hub.away():
            gone.set()
            back.wait()

    def return_at_the_second_wait(seconds: float) -> None:
        hub.waits.append(seconds)
        if len(hub.waits) == 2:
            back.set()
            absence.join()

    api.create_repo("alice/a")
    monkeypatch.setattr(_http.time, "sleep", return_at_the_second_wait)
    absence = threading.Thread(target=be_away, daemon=True)
    absence.start()
    gone.wait()
    answer = _http.http_backoff("GET", f"{hub.url}/api/models/alice/a")
    assert answer.json()["id"] == "alice/a" and hub.waits == [1, 2]


def test_git_holds_a_pointer_in_place_of_a_large_file(hub: Any) -> None:
    from huggingface_hub import get_session

    hub.create("alice/a", files={"a.bin": LARGE, "a.txt": b"text"})
    pointer = get_session().get(f"{hub.url}/alice/a/raw/main/a.bin").text
    sha256 = hashlib.sha256(LARGE).hexdigest()
    assert pointer == f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(LARGE)}\n"
    assert get_session().get(f"{hub.url}/alice/a/raw/main/a.txt").text == "text"


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [("bytes=2-3", 206, b"23"), ("bytes=8-", 206, b"89"), ("bytes=-3", 206, b"789"), ("bytes=10-", 416, b"")],
)
def test_a_part_of_a_file(asked: str, status: int, content: bytes, hub: Any) -> None:
    from huggingface_hub import get_session

    hub.create("alice/a", files={"a.txt": b"0123456789"})
    answer = get_session().get(f"{hub.url}/alice/a/resolve/main/a.txt", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers["Content-Range"].endswith("/10")


def test_an_answer_may_be_late(hub: Any, api: Any) -> None:
    import httpx2

    hub.create("alice/a")
    hub.fault("/api/models/alice/a", delay=60)
    with pytest.raises(httpx2.ReadTimeout):
        api.model_info("alice/a", timeout=0.05)
    assert api.model_info("alice/a", timeout=60).id == "alice/a"


def test_transformers_and_datasets_push_and_load(hub: Any) -> None:
    import datasets
    from transformers import AutoConfig, BertConfig

    BertConfig(num_labels=5).push_to_hub("alice/config")
    assert AutoConfig.from_pretrained("alice/config").num_labels == 5
    datasets.Dataset.from_dict({"a": [1, 2]}).push_to_hub("alice/rows", private=True)
    assert datasets.load_dataset("alice/rows")["train"]["a"][:] == [1, 2]


def test_another_process_reaches_it_by_its_environment(hub_server_class: Any, tmp_path: Path) -> None:
    with hub_server_class({}, accounts={}) as hub:
        env = hub.environment(tmp_path)
    assert env["HF_ENDPOINT"] == hub.url and env["HF_HUB_OFFLINE"] == "0" and env["HF_TOKEN"] == ""
