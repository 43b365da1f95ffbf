"""Whether a push will be let in, asked of the loopback Hub before any work."""

from collections.abc import Callable
from typing import Any

import pytest

from hf_tune.hub import patience
from hf_tune.hub.account import check_destination
from hf_tune.hub.hub_block import Hub
from hf_tune.input_error import InputError


PICTURES = Hub(repo_id="alice/pictures")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.001)


def refused(hub: Hub = PICTURES) -> str:
    with pytest.raises(InputError) as told:
        check_destination(hub)
    assert told.value.at
    return str(told.value)


def test_a_name_that_is_free_is_let_in_and_nothing_is_written(hub: Any) -> None:
    check_destination(PICTURES)
    assert not any(request.startswith(("POST", "PUT", "DELETE")) for request in hub.requests)
    assert not hub.repos


def test_an_own_repository_is_let_in(hub: Any) -> None:
    hub.create("alice/pictures", private=True, files={"recipe.yaml": b"", "model.safetensors": b"", "README.md": b""})
    check_destination(PICTURES)
    hub.create("alice/empty", private=True)
    check_destination(Hub(repo_id="alice/empty"))
    hub.create("alice/public")
    check_destination(Hub(repo_id="alice/public", private=False))


def test_no_token(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "there is no token for the Hub; run `hf auth login` or set HF_TOKEN" in refused()
    assert not hub.requests


def test_a_token_that_is_wrong_or_too_old(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_account("hf_old", "alice", expired=True)
    for token in ("hf_wrong", "hf_old"):
        monkeypatch.setenv("HF_TOKEN", token)
        assert "the Hub does not accept the token; `hf auth login` or HF_TOKEN" in refused()


def test_a_token_that_may_only_read(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_account("hf_read", "alice", role="read")
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert "the token may read and not write; make a token with write access" in refused()


def test_a_fine_grained_token_needs_the_right_for_this_name(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_account("hf_fine", "alice", role="fineGrained", scopes={"alice/other": ["repo.write"]})
    monkeypatch.setenv("HF_TOKEN", "hf_fine")
    assert "the token may not write 'alice/pictures'" in refused()
    hub.accounts["hf_fine"].scopes["alice"] = ["repo.write"]
    check_destination(PICTURES)


def test_organisations(hub: Any) -> None:
    hub.add_account("hf_test", "alice", orgs={"lab": "write", "readers": "read"})
    check_destination(Hub(repo_id="lab/pictures"))
    assert "who is in no organisation 'nowhere'; it may write under: alice, lab" in refused(Hub(repo_id="nowhere/a"))
    assert "alice may only read in the organisation 'readers'" in refused(Hub(repo_id="readers/a"))


@pytest.mark.parametrize("kind", ["datasets", "spaces"])
def test_a_repository_of_another_kind(hub: Any, kind: str) -> None:
    hub.create("alice/pictures", kind=kind, private=True)
    assert f"'alice/pictures' is a {kind[:-1]}; give the model another name" in refused()


def test_a_public_repository_is_not_taken_for_a_private_one(hub: Any) -> None:
    hub.create("alice/pictures")
    assert (
        "is there and everyone may read it, and the run is to be pushed privately; write `private: false`" in refused()
    )


def test_a_model_of_somebody_else_is_not_overwritten(hub: Any) -> None:
    hub.create("alice/pictures", private=True, files={"pytorch_model.bin": b"x"})
    assert "the branch 'main' of 'alice/pictures' holds a model that hf_tune did not push" in refused()
    check_destination(Hub(repo_id="alice/pictures", revision="mine"))


def test_a_repository_without_write_right(hub: Any) -> None:
    hub.create("alice/pictures", private=True)
    hub.fault("auth-check/write", times=9, status=403)
    assert "asking whether alice/pictures may be written: the token may not do this" in refused()


def test_offline_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite runs with HF_HUB_OFFLINE=1."""
    assert "HF_HUB_OFFLINE is set, and the run is to be pushed; unset it, or write `offline: true`" in refused()


@pytest.mark.parametrize("match", ["whoami", "GET /api/models/alice"])
def test_a_hub_that_hangs_up_once_is_asked_again(hub: Any, match: str) -> None:
    hub.fault(match, drop=True)
    check_destination(PICTURES)


def test_a_hub_that_is_away(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _ask: Callable[..., Any] = patience.ask
    monkeypatch.setattr(patience, "ask", lambda call, doing, seconds=None: _ask(call, doing, 0.05))
    with hub.away():
        assert "the Hub cannot be reached, or hung up" in refused()
