"""The card of a run, read back by huggingface_hub and by a parser of Markdown."""

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, metadata_load
from markdown_it import MarkdownIt

from hf_tune.hub.card import build_card, save_card
from hf_tune.hub.card_facts import CardFacts
from hf_tune.results.classification_metrics import format_classes


AWKWARD = [
    "<script>alert(1)</script>",
    "a|b",
    "{{x}}",
    "`tick`",
    "two\nlines",
    "*star* _under_",
    "[x](y)",
    "&lt;",
    "$1$",
]


def test_the_metadata_holds_every_score_of_the_test_split(
    results: dict[str, Any], facts: CardFacts, tmp_path: Path
) -> None:
    file = save_card(build_card(results, {}, facts), tmp_path)
    assert file == tmp_path / "README.md" and [path.name for path in tmp_path.iterdir()] == ["README.md"]
    data = ModelCard.load(file).data
    assert (data.library_name, data.pipeline_tag, data.tags) == ("transformers", "image-classification", ["hf_tune"])
    assert (data.base_model, data.base_model_relation, data.datasets) == ("some/base", "finetune", ["some/data"])
    found = [(each.metric_type, each.metric_value) for each in data.eval_results]
    assert found == [("accuracy", 0.8125), ("log_loss", 0.5)]
    first = data.eval_results[0]
    assert (first.task_type, first.dataset_type, first.dataset_name) == (
        "image-classification",
        "some/data",
        "some/data",
    )
    assert (first.dataset_split, first.dataset_revision, first.dataset_config) == ("test", "f" * 40, "default")
    index = metadata_load(file)["model-index"]
    assert [each["name"] for each in index] == ["run"] and len(index[0]["results"]) == 1


def test_local_data_have_a_type_that_the_hub_takes_and_are_not_linked(
    results: dict[str, Any], facts: CardFacts
) -> None:
    results["data"] |= {"name": "my rows.csv, é (csv)", "id": None, "revision": None, "config": None}
    data = build_card(results, {}, facts).data
    first = data.eval_results[0]
    assert first.dataset_name == "my rows.csv, é (csv)" and data.datasets is None
    assert re.fullmatch(r"(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_.-]+", first.dataset_type)  # the Hub's own pattern
    assert (first.dataset_revision, first.dataset_config) == (None, None)


def test_a_score_that_is_no_number_is_left_out_of_the_metadata(results: dict[str, Any], facts: CardFacts) -> None:
    results["splits"]["test"]["log_loss"]["value"] = float("nan")
    assert [each.metric_type for each in build_card(results, {}, facts).data.eval_results] == ["accuracy"]


def test_an_adapter_is_told_as_peft_with_its_base(results: dict[str, Any], facts: CardFacts) -> None:
    data = build_card(results | {"method": "lora"}, {}, facts).data
    assert (data.library_name, data.base_model_relation) == ("peft", "adapter")


def test_a_model_that_timm_reads_says_so(results: dict[str, Any], facts: CardFacts) -> None:
    timm = dataclasses.replace(facts, model_type="timm_wrapper")
    data = build_card(results, {}, timm).data
    assert (data.library_name, data.tags) == ("transformers", ["hf_tune", "timm"])
    assert build_card(results | {"method": "lora"}, {}, timm).data.tags == ["hf_tune"]  # which timm cannot read


def test_a_base_that_the_hub_does_not_know_is_not_linked(results: dict[str, Any], facts: CardFacts) -> None:
    card = build_card(results | {"base": {"id": "some/folder", "revision": None, "pretrained": True}}, {}, facts)
    assert card.data.base_model is None and card.data.to_dict().get("base_model_relation") is None
    assert "`some/folder`, fine-tuned for" in card.text and "huggingface.co/some/folder" not in card.text


def test_the_recipes_card_block_goes_before_what_is_known(results: dict[str, Any], facts: CardFacts) -> None:
    data = build_card(results, {"license": "mit", "language": "en", "tags": ["mine"]}, facts).data
    assert (data.license, data.language, data.tags) == ("mit", "en", ["mine"])


@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification", "regression"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_no_heading_is_empty_and_no_placeholder_stands(
    problem_type: str, method: str, results: dict[str, Any], facts: CardFacts
) -> None:
    for name in ("notes", "plots", "files", "fit", "details"):
        results.pop(name)
    results |= {"problem_type": problem_type, "method": method, "best_checkpoint": None, "chosen_by": None}
    results["cost"]["train_seconds"] = None
    text = str(build_card(results, {}, dataclasses.replace(facts, section="", plots=())))
    headings = re.findall(r"^## (.+)\n\n(?!#)\S", text, re.M)
    assert headings == ["Use", "Results", "Limits", "Data", "Training", "Proof"]
    assert text.count("\n## ") == len(headings)
    for word in ("None", "nan", "More information", "TODO", "{{", "{%", "[more", "\n\n\n"):
        assert word not in text, word
    assert re.search(r"\| *\|", text) is None and "- \n" not in text


def test_awkward_names_are_shown_as_they_are(results: dict[str, Any], facts: CardFacts) -> None:
    """Labels, notes and names of data are anybody's; the card is read as the Hub does, by CommonMark with tables."""
    classes = [
        {"label": name, "precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": number + 2}
        for number, name in enumerate(AWKWARD)
    ]
    results |= {"label_names": AWKWARD, "notes": AWKWARD, "details": {"classes": classes}}
    results["baseline"]["name"] = f"majority class ({AWKWARD[0]})"
    results["data"] |= {"name": AWKWARD[0], "id": None}
    card = build_card(results, {}, dataclasses.replace(facts, section=format_classes(classes)))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card.text)
    leaves = [leaf for token in tokens for leaf in (token.children or ())]
    assert not any(leaf.type == "html_inline" for leaf in leaves)
    assert not any(token.type == "html_block" for token in tokens)
    cells = [
        "".join(leaf.content for leaf in token.children or ())
        for before, token in itertools.pairwise(tokens)
        if before.type in ("td_open", "paragraph_open")
    ]
    for name in AWKWARD:
        shown = " ".join(name.split())
        assert cells.count(shown) == 2, name  # a row of the table, and a note
        assert any(leaf.type == "code_inline" and leaf.content == shown for leaf in leaves), name


def test_the_recipe_stays_inside_its_block_whatever_it_holds(results: dict[str, Any], facts: CardFacts) -> None:
    recipe = "task: a\n# ```\n# ````yaml\n# {{ x }}\n---\ncard: {}\n"
    text = build_card(results, {}, dataclasses.replace(facts, recipe=recipe)).text
    blocks = [token for token in MarkdownIt().parse(text) if token.type == "fence" and token.info == "yaml"]
    assert [block.content for block in blocks] == [recipe]
