"""Text that must not reach the Hub is found with its line, and what a card is full of is left alone."""

import pytest

from hf_tune.hub.private_text import find_private_text


TOKEN = "hf_" + "a1B2" * 8


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (TOKEN, "a token or password"),
        ("key: sk-" + "x" * 24, "a token or password"),
        ("AKIA" + "A1" * 8, "a token or password"),
        ("ghp_" + "b" * 36, "a token or password"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a token or password"),
        ("postgres://me:secret@db.example/rows", "a token or password"),
        ("ask jane.doe+x@clinic.example.org now", "an e-mail address"),
        ("call +49 30 1234567", "a phone number"),
        ("(555) 123-4567", "a phone number"),
        ("555-123-4567.", "a phone number"),
        ("0151 234 56789", "a phone number"),
    ],
)
def test_what_looks_private_is_found_with_its_line(text: str, kind: str) -> None:
    found = list(find_private_text(f"one\ntwo {text}\n"))
    assert kind in {each[1] for each in found}
    assert {each[0] for each in found} == {2}


@pytest.mark.parametrize(
    "text",
    [
        "0.9340 (0.9240 to 0.9420) | -0.002 (-0.008 to +0.005)",
        "22,742,861 of 22,742,861 parameters; 2026-11-25 17:14:52",
        "`0123456789abcdef0123456789abcdef01234567` torch 2.15.0, 5.23.0",
        "accelerate launch -m hf_tune.run recipes/a.yaml training.learning_rate=1e-4",
        "| shade 12 | 1250 | 0.8000 | 100 200 |",
        "hf_tune, hf_hub, @mention, a@b, scale=0.5@2",
        "https://huggingface.co/owner/name/blob/main/x.png",
    ],
)
def test_what_a_card_is_full_of_is_left_alone(text: str) -> None:
    assert list(find_private_text(text)) == []


def test_a_token_is_not_told_in_full() -> None:
    assert all(TOKEN not in found for _, _, found in find_private_text(TOKEN))


def test_a_text_that_was_allowed_is_left_alone() -> None:
    assert list(find_private_text("help@example.org", ["help@example.org"])) == []
    assert list(find_private_text("help@example.org", ["other@example.org"])) != []
