"""The `hub:` block: names that the Hub can have, and branches that a push may go to."""

from typing import Any

import pytest

from hf_tune.hub.hub_block import BaseModel, Hub
from hf_tune.input_error import InputError


def test_what_is_left_out_is_private_and_verified() -> None:
    hub = Hub(repo_id="alice/pictures")
    assert (hub.private, hub.verify, hub.include_examples, hub.every, hub.revision) == (
        True,
        True,
        False,
        "end",
        "main",
    )


def test_offline_needs_no_name() -> None:
    assert Hub(offline=True).repo_id is None


@pytest.mark.parametrize(
    ("values", "at", "words"),
    [
        ({}, (), "`repo_id` is missing"),
        ({"repo_id": "alice/two words"}, ("repo_id",), "no repository of the name 'alice/two words'"),
        ({"repo_id": "alice/a/b"}, ("repo_id",), "no repository of the name"),
        ({"repo_id": "pictures"}, ("repo_id",), "does not say whose it is"),
        ({"repo_id": "a/b", "revision": "refs/pr/1"}, ("revision",), "no branch to push to"),
        ({"repo_id": "a/b", "revision": "unverified"}, ("revision",), "no branch to push to"),
        ({"repo_id": "a/b", "base_model": BaseModel(id="x y")}, ("base_model", "id"), "no repository of the name"),
    ],
)
def test_a_name_that_cannot_be_is_told(values: dict[str, Any], at: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words) as told:
        Hub(**values)
    assert told.value.at == at


@pytest.mark.parametrize(
    ("hub", "words"),
    [
        (Hub(offline=True), "nothing is pushed now (offline)"),
        (Hub(repo_id="a/b"), "a/b, private, branch main, verified"),
        (
            Hub(repo_id="a/b", private=False, verify=False, every="best", include_examples=True, revision="dev"),
            "a/b, for everyone, branch dev, not verified, checkpoints (best) while it trains, with rows of the data",
        ),
    ],
)
def test_where_a_run_goes_is_told(hub: Hub, words: str) -> None:
    assert hub.describe() == words
