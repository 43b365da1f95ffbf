"""A run from the Hub, from the cache, or not at all; each failure in a sentence with what to do."""

import json
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from httpx2 import Request
from huggingface_hub import constants, errors

from hf_tune.finetuned import load_finetuned
from hf_tune.hub.snapshot import describe_failure, find_run
from hf_tune.input_error import InputError


CLIENT = """
import json, logging, sys
from hf_tune import load_finetuned

logging.getLogger("hf_tune").setLevel(logging.ERROR)
told = {}
for key, arguments in json.loads(sys.argv[1]).items():
    try:
        told[key] = load_finetuned(**arguments).predict(["moss"])[0].score
    except ValueError as error:
        told[key] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""


def ask(environment: dict[str, str], **calls: dict[str, Any]) -> dict[str, Any]:
    """Return what a fresh process, with that environment, makes of some calls of load_finetuned."""
    command = [sys.executable, "-c", CLIENT, json.dumps(calls)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def repos(
    save_run: Callable[..., Path], tiny_text_checkpoints: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """Return a run of LoRA on a base that is on the Hub too, one whose base's revision is gone, and a full one."""
    root = tmp_path_factory.mktemp("repos")
    lora, gone = (Path(shutil.copytree(save_run("bert", "lora"), root / name)) for name in ("lora", "gone"))
    for folder, revision in ((lora, "main"), (gone, "b" * 40)):
        config = json.loads((folder / "adapter_config.json").read_text())
        config |= {"base_model_name_or_path": "owner/base", "revision": revision}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        for name in ("log.jsonl", "predictions.parquet", "checkpoint-2/model.safetensors", "plots/curves.png"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("not needed")
    base = Path(tiny_text_checkpoints["bert"])
    named = {"lora": lora, "gone": gone, "base": base, "full": save_run("bert", "full")}
    return {("models", f"owner/{name}"): folder for name, folder in named.items()}


def test_a_hub_id_loads_once_fetched_and_then_from_the_cache_without_the_hub(
    repos: dict[tuple[str, str], Path], save_run: Callable[..., Path], hub_server_class: Any, tmp_path: Path
) -> None:
    cache, other = tmp_path / "cache", str(tmp_path / "other")
    with hub_server_class(repos) as hub:
        online = hub.environment(cache)
        calls = {"run": {"name": "owner/lora"}, "elsewhere": {"name": "owner/lora", "cache_dir": other}}
        calls["full"] = {"name": "owner/full"}
        told = ask(online, **calls, base={"name": "owner/gone"})
    fetched = {request.rpartition("/")[2] for request in hub.requests if "GET /owner/lora/resolve" in request}
    assert {"recipe.yaml", "adapter_model.safetensors", "results.json"} <= fetched
    assert not fetched & {"log.jsonl", "predictions.parquet", "model.safetensors", "curves.png", "README.md"}
    assert isinstance(told["run"], float) and told["elsewhere"] == told["run"]
    assert f"the adapter's base 'owner/base' has no revision {'b' * 40!r} on the Hub" in told["base"]
    calls["local"] = {"name": "owner/lora", "cache_dir": other, "local_files_only": True}
    again = ask({**online, "HF_HUB_OFFLINE": "1"}, **calls, nobody={"name": "owner/nobody"})  # and no Hub is there
    assert again["run"] == again["elsewhere"] == again["local"] == told["run"]
    folder = repos["models", "owner/full"]
    assert again["full"] == told["full"] == pytest.approx(load_finetuned(folder).predict(["moss"])[0].score, abs=1e-6)
    assert "is neither a folder nor in the cache, and must not be fetched; leave `local_files_only`" in again["nobody"]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes the client in this process ask another Hub."""

    def change(url: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")

    return change


def test_what_the_hub_does_not_have_is_told_before_anything_is_fetched(
    repos: dict[tuple[str, str], Path], hub_server_class: Any, connect: Callable[[str], None], tmp_path: Path
) -> None:
    with hub_server_class(repos) as hub:
        connect(hub.url)
        assert (find_run("owner/lora", "main", tmp_path, False) / "adapter_config.json").exists()
        with pytest.raises(InputError, match="'owner/lora' has no revision 'none' on the Hub; it must be a branch"):
            find_run("owner/lora", "none", tmp_path, False)
        with pytest.raises(
            InputError, match=r"'owner/nobody' is neither a folder nor a repository .*; check the name"
        ):
            find_run("owner/nobody", None, tmp_path, False)
        with pytest.raises(InputError, match=r"'owner/base' is no run of hf_tune: it holds no recipe\.yaml"):
            find_run("owner/base", None, tmp_path, False)
    assert not any("GET /owner/base/resolve" in request for request in hub.requests)
    assert (find_run("owner/lora", "main", tmp_path, True) / "adapter_config.json").exists()
    with pytest.raises(InputError, match=r"'owner/lora' at revision 'v1' is neither a folder nor in the cache"):
        find_run("owner/lora", "v1", tmp_path, True)
    connect("http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"the Hub cannot be reached for 'owner/nobody': .*; try again"):
        find_run("owner/nobody", None, tmp_path, False)


def test_a_connection_that_is_cut_is_one_line(connect: Callable[[str], None], tmp_path: Path) -> None:
    class Cut(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connect(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(
            InputError, match=r"the Hub cannot be reached for 'owner/run': RemoteProtocolError: [^\n]*$"
        ):
            find_run("owner/run", None, tmp_path, False)
        server.shutdown()


@pytest.mark.parametrize(
    ("kind", "status", "token", "words"),
    [
        (
            errors.GatedRepoError,
            403,
            None,
            "'a/b' is gated on the Hub: its owner lets in whom he chooses; ask for access",
        ),
        (errors.RepositoryNotFoundError, 401, None, "that you can see; check the name; a private one needs `hf auth"),
        (
            errors.RepositoryNotFoundError,
            401,
            "hf_x",
            "that you can see; check the name, and that your token may read it",
        ),
        (
            errors.HfHubHTTPError,
            500,
            None,
            "the Hub cannot be reached for 'a/b' at revision 'v1': HfHubHTTPError: first$",
        ),
    ],
)
def test_what_the_hub_answers_is_told_whatever_library_wraps_it(
    kind: Any, status: int, token: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    error = kind("first\nsecond", response=errors.Response(status, request=Request("GET", "https://huggingface.co")))
    wrapped = OSError("something else")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        told = describe_failure(each, "'a/b'", "v1")
        assert told is not None and re.search(words.removesuffix("$"), str(told)) and "second" not in str(told)
    assert describe_failure(OSError("no room on the disk"), "'a/b'", None) is None


def test_a_disk_that_is_full_is_no_matter_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    with pytest.raises(OSError, match="No space left"):
        find_run("owner/run", None, None, False)


def test_a_folder_has_no_revision(save_run: Callable[..., Path]) -> None:
    folder = save_run("bert", "lora")
    assert find_run(folder, None, None, False) == folder
    with pytest.raises(InputError, match=r"is a folder, which has no revision 'v1'; leave `revision` out"):
        find_run(folder, "v1", None, False)
