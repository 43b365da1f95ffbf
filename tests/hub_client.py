"""Makes huggingface_hub, transformers and datasets of this very process talk to the loopback Hub of the tests.

They read HF_ENDPOINT, HF_HUB_OFFLINE and the caches when they are imported, which the suite does offline; so what they
keep (huggingface_hub 2.4, transformers 5.23, datasets 5.2) is replaced here, one by one. peft 0.21 keeps nothing:
it asks huggingface_hub, and reads the environment each time.
"""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def point_clients_at(hub: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Patch all that holds the address of the Hub, offline mode, the token, or a cache (now below `folder`)."""
    import huggingface_hub

    _patch_constants(hub.url, monkeypatch, folder)
    _patch_copies(hub.url, monkeypatch, folder)
    _patch_datasets(hub.url, monkeypatch, folder)
    _shorten_waits(hub, monkeypatch)
    # After the imports above, which would keep what they read.
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("HF_TOKEN", next(iter(hub.accounts), ""))
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    huggingface_hub.HfFileSystem.clear_instance_cache()  # by address, and a port may come again
    huggingface_hub.close_session()


def forget_connections() -> None:
    """Close the one client that huggingface_hub keeps, so that no connection outlives its server."""
    import huggingface_hub

    huggingface_hub.HfFileSystem.clear_instance_cache()
    huggingface_hub.close_session()


def _patch_constants(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from huggingface_hub import constants

    own = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_URL_HOSTS": constants.HF_URL_HOSTS | {"127.0.0.1"},
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HOME": str(folder),
        "HF_HUB_CACHE": str(folder / "hub"),
        "HUGGINGFACE_HUB_CACHE": str(folder / "hub"),
        "HF_ASSETS_CACHE": str(folder / "assets"),
        "HF_TOKEN_PATH": str(folder / "token"),
        "HF_STORED_TOKENS_PATH": str(folder / "stored_tokens"),
    }
    for name, value in own.items():
        monkeypatch.setattr(constants, name, value)


def _patch_copies(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Patch what other modules of huggingface_hub copied, or made, when they were imported."""
    from huggingface_hub import hf_api
    from huggingface_hub.utils import _cache_manager, _detect_agent, _git_credential, _http

    monkeypatch.setattr(hf_api.api, "endpoint", url)  # behind the functions `create_repo`, `upload_folder`, …
    monkeypatch.setattr(hf_api.api, "_whoami_cache", {})
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)  # made by the first who asks, and kept
    monkeypatch.setattr(_http, "_HUB_ORIGINS", _http._HUB_ORIGINS | {_http._url_origin(url)})
    monkeypatch.setattr(_cache_manager, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(_git_credential, "ENDPOINT", url)
    # Found already, so that no request asks the Hub for it and no file of it is written to the user's home.
    monkeypatch.setattr(_detect_agent, "_registry", {"standardEnvVars": [], "harnesses": {}})


def _patch_datasets(url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    from datasets import config

    own = {
        "HF_ENDPOINT": url,
        "HUB_DATASETS_URL": f"{url}/datasets/{{repo_id}}/resolve/{{revision}}/{{path}}",
        "HF_HUB_OFFLINE": False,
        "HF_DATASETS_OFFLINE": False,
        "HF_UPDATE_DOWNLOAD_COUNTS": False,  # asks a server of Amazon
        "HF_DATASETS_CACHE": folder / "datasets",
        "DOWNLOADED_DATASETS_PATH": folder / "datasets" / "downloads",
        "EXTRACTED_DATASETS_PATH": folder / "datasets" / "downloads" / "extracted",
    }
    for name, value in own.items():
        monkeypatch.setattr(config, name, value)


def _shorten_waits(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client's waits before another try be noted in `hub.waits` and take a hundredth of their time."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    def sleep(seconds: float) -> None:
        hub.waits.append(seconds)
        time.sleep(seconds / 100)

    for module in (_http, file_download):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
