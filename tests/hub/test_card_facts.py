"""Names, splits and numbers as the parts of a card take them."""

import dataclasses

import pytest

from hf_tune.hub.card_facts import CardFacts, format_number, is_adapter, reported_split


@pytest.mark.parametrize(("names", "reported"), [(("validation", "test"), "test"), (("validation",), "validation")])
def test_test_is_reported_where_there_is_one(names: tuple[str, ...], reported: str) -> None:
    scores = {name: {"accuracy": {"value": float(number)}} for number, name in enumerate(names)}
    assert reported_split({"splits": scores}) == (reported, scores[reported])


@pytest.mark.parametrize(("method", "expected"), [("full", False), ("probe", False), ("lora", True), ("ia3", True)])
def test_a_probe_is_a_full_model(method: str, expected: bool) -> None:
    assert is_adapter({"method": method}) is expected


def test_a_name_of_the_hub_has_a_user(facts: CardFacts) -> None:
    assert (facts.title, facts.is_on_hub) == ("run", False)
    named = dataclasses.replace(facts, name="me/my-model")
    assert (named.title, named.is_on_hub) == ("my-model", True)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0000"), (0.00004, "4e-05"), (-0.5, "-0.5000"), (123.45678, "123.4568")]
)
def test_small_numbers_do_not_become_zero(value: float, text: str) -> None:
    assert format_number(value) == text
