"""Other versions of the libraries than a run's own are named in a sentence."""

import importlib.metadata

import pytest

from hf_tune.results.versions import describe_other_versions


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"torch": "2.15.1+cpu", "transformers": "5.23.0", "peft": "0.21.2", "timm": "1.0.31"}
    monkeypatch.setattr(importlib.metadata, "version", there.__getitem__)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            {"torch": "2.15.0+cu130", "transformers": "5.20.0", "peft": "0.21.0", "timm": "1.0.20", "datasets": "1.0"},
            "this run was made with transformers 5.20.0, and transformers 5.23.0 is installed: compare its",
        ),
        (
            {"torch": "2.2.0", "transformers": "4.57.1", "peft": "0.2.0", "timm": "1.0.31"},
            "made with torch 2.2.0, transformers 4.57.1 and peft 0.2.0, and torch 2.15.1+cpu, transformers 5.23.0 and "
            "peft 0.21.2 are installed",
        ),
    ],
)
def test_each_library_that_differs_is_named(made: dict[str, str], words: str) -> None:
    assert words in str(describe_other_versions({"environment": {"versions": made}}))


@pytest.mark.parametrize(
    "results", [{}, {"environment": {}}, {"environment": {"versions": {"torch": "2.15.9", "peft": "0.21.2.dev0"}}}]
)
def test_what_agrees_or_is_not_known_needs_no_word(results: dict[str, dict[str, dict[str, str]]]) -> None:
    assert describe_other_versions(results) is None
