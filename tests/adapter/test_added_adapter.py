"""Several adapters on one network: each answers as if it were alone, or a sentence says why it cannot stand there."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer

from hf_tune.finetuned import Finetuned, load_finetuned
from hf_tune.input_error import InputError


TEXTS = [{"text": text} for text in ("the old rose", "near a ruby brick sky", "moss", "a sea by the sea is blue")]
FIVE = tuple(f"colour {number}" for number in range(5))


pytestmark = pytest.mark.usefixtures("one_thread")


def read(finetuned: Finetuned, pictures: list[Any]) -> np.ndarray:
    rows = TEXTS if finetuned.task.peft_task_type else [{"image": picture} for picture in pictures]
    return finetuned.read_outputs(rows, 2)


def check_beside(first: Path, second: Path, pictures: list[Any]) -> tuple[Finetuned, Finetuned]:
    """Assert that two runs on one network give what each gives alone, whichever was asked before."""
    alone = [read(load_finetuned(folder), pictures) for folder in (first, second)]
    assert alone[0].shape != alone[1].shape or np.abs(alone[0] - alone[1]).max() > 1e-2
    one = load_finetuned(first)
    two = one.add_adapter(second)
    assert two.model is one.model
    for _ in range(2):
        assert np.abs(read(one, pictures) - alone[0]).max() <= 1e-6
        assert np.abs(read(two, pictures) - alone[1]).max() <= 1e-6
    return one, two


@pytest.mark.parametrize(
    ("network", "method"),
    [
        *(
            ("bert", method)
            for method in ("lora", "prefix", "bottleneck", "{peft_type: IA3}", "{peft_type: LN_TUNING}")
        ),
        *(("bert", f"{{peft_type: {method}}}") for method in ("PROMPT_TUNING", "P_TUNING")),
        *(("roberta", method) for method in ("lora", "bottleneck")),  # its head is a small network of its own
        *(("gpt2", method) for method in ("lora", "prefix")),
        *(("distilbert", method) for method in ("lora",)),
        *((network, method) for network in ("vit", "resnet", "timm") for method in ("lora", "bottleneck")),
    ],
)
def test_adapters_with_other_labels_answer_as_if_they_were_alone(
    network: str, method: str, save_run: Callable[..., Path], pictures: list[Any]
) -> None:
    one, two = check_beside(save_run(network, method), save_run(network, method, FIVE), pictures)
    assert one.label_names == ("red", "green", "blue") and two.label_names == FIVE
    answer = two.predict(pictures if "pixel" in one.model.main_input_name else ["moss"])[0]
    assert answer.label in FIVE and len(answer.scores) == 5


def test_two_lengths_of_a_prefix_stand_beside_each_other(save_run: Callable[..., Path], pictures: list[Any]) -> None:
    short = "{peft_type: PREFIX_TUNING, num_virtual_tokens: 3}"
    check_beside(save_run("bert", "prefix"), save_run("bert", short), pictures)


def test_two_ranks_and_dora_stand_beside_each_other(save_run: Callable[..., Path], pictures: list[Any]) -> None:
    other = "{peft_type: LORA, r: 2, use_dora: true, target_modules: [query]}"
    check_beside(save_run("bert", "lora"), save_run("bert", other, FIVE), pictures)
    check_beside(save_run("bert", other), save_run("bert", "lora", FIVE), pictures)


@pytest.mark.parametrize("network", ["resnet", "timm"])
def test_each_has_its_own_statistics_of_batch_norm(
    network: str, save_run: Callable[..., Path], pictures: list[Any]
) -> None:
    """The one that froze them must read the base's, and not those that the other moved."""
    moved = save_run(network, "lora", FIVE, overrides=("batch_norm=trained",))
    again = save_run(network, "lora", ("a", "b"), overrides=("batch_norm=trained",))
    check_beside(save_run(network, "lora"), moved, pictures)
    check_beside(moved, save_run(network, "lora"), pictures)
    check_beside(moved, again, pictures)


@pytest.mark.parametrize("method", ["lora", "prefix"])
def test_a_layer_that_one_of_them_saves_whole_is_the_bases_for_the_other(
    method: str, save_run: Callable[..., Path], pictures: list[Any]
) -> None:
    kind = "PREFIX_TUNING, num_virtual_tokens: 4" if method == "prefix" else "LORA, target_modules: [query]"
    whole = save_run("bert", f"{{peft_type: {kind}, modules_to_save: [encoder.layer.0.output.dense]}}", FIVE)
    plain = save_run("bert", f"{{peft_type: {kind}}}")
    check_beside(plain, whole, pictures)
    check_beside(whole, plain, pictures)


def test_each_has_its_own_kind_of_label(save_run: Callable[..., Path], pictures: list[Any]) -> None:
    one = save_run("bert", "lora", ("stars",), "regression")
    _, two = check_beside(one, save_run("bert", "lora", FIVE, "multi_label_classification"), pictures)
    three = two.add_adapter(save_run("bert", "lora"))
    four = three.add_adapter(one)
    assert len({id(each.model) for each in (two, three, four)}) == 1
    for each, folder in ((two, two.folder), (three, three.folder), (four, one)):
        alone = load_finetuned(folder)
        assert (each.problem_type, each.label_names) == (alone.problem_type, alone.label_names)
        assert each.predict(["moss", "sky"]) == alone.predict(["moss", "sky"])
    assert hasattr(four.predict(["moss"])[0], "value") and hasattr(two.predict(["moss"])[0], "labels")


@pytest.mark.parametrize(
    "library",
    ["{quant_method: torchao, quant_type: Int8WeightOnlyConfig}", "{quant_method: bitsandbytes, load_in_8bit: true}"],
)
def test_adapters_share_a_quantised_base(library: str, save_run: Callable[..., Path], pictures: list[Any]) -> None:
    quantised = (f"model.quantization_config={library}",)
    check_beside(
        save_run("bert", "lora", overrides=quantised), save_run("bert", "lora", FIVE, overrides=quantised), pictures
    )


def test_batches_of_two_runs_may_take_turns(save_run: Callable[..., Path]) -> None:
    one = load_finetuned(save_run("bert", "lora"))
    two = one.add_adapter(save_run("bert", "lora", FIVE))
    expected = [each.read_outputs(TEXTS, 1) for each in (one, two)]
    turns = zip(one.run_batches(TEXTS, 1), two.run_batches(TEXTS, 1), strict=True)
    for row, pair in enumerate(turns):
        for (outputs, _), logits in zip(pair, expected, strict=True):
            assert np.abs(outputs.logits.numpy() - logits[row]).max() <= 1e-6


def test_threads_may_ask_both_at_once(save_run: Callable[..., Path]) -> None:
    one = load_finetuned(save_run("bert", "lora"))
    two = one.add_adapter(save_run("bert", "lora", FIVE))
    expected = [each.read_outputs(TEXTS) for each in (one, two)]
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit((one, two)[number % 2].read_outputs, TEXTS) for number in range(20)]
    for number, found in enumerate(asked):
        assert np.abs(found.result() - expected[number % 2]).max() <= 1e-6


def test_the_active_adapter_is_the_one_that_is_merged(save_run: Callable[..., Path]) -> None:
    one = load_finetuned(save_run("bert", "lora"))
    two = one.add_adapter(save_run("bert", "lora", FIVE))
    expected = one.read_outputs(TEXTS)
    two.predict(["moss"])
    tokens = one.processor([each["text"] for each in TEXTS], padding=True, return_tensors="pt")
    merged = one.activate().merge_and_unload(safe_merge=True)
    with torch.inference_mode():
        assert np.abs(merged(**tokens).logits.numpy() - expected).max() <= 1e-5


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("lora", "prefix", "PEFT cannot hold PREFIX_TUNING beside LORA in one network; load it by itself"),
        ("lora", "bottleneck", "PEFT cannot hold BOTTLENECK beside LORA"),
        ("prefix", "{peft_type: PROMPT_TUNING}", "PEFT cannot hold PROMPT_TUNING beside PREFIX_TUNING"),
        ("lora", "{peft_type: LORA, init_lora_weights: pissa}", "'pissa' changes the weights of the base"),
        ("lora", "full", "holds a full model: there is no adapter to add; load it by itself"),
        ("full", "lora", "this run holds a full model, which takes no adapter"),
        (
            "lora",
            "{peft_type: LORA, target_modules: [query], modules_to_save: [encoder.layer.0.output.dense]}",
            "PEFT cannot hold this adapter beside the one that is there: modules_to_save cannot be applied",
        ),
        (
            "{peft_type: LORA, target_modules: [query], modules_to_save: [encoder.layer.0.output]}",
            "lora",
            "PEFT cannot hold this adapter beside the one that is there: .*has no place",
        ),
        ("{peft_type: LORA, bias: all}", "{peft_type: LORA, bias: all}", "PEFT cannot hold this adapter .*bias"),
    ],
)
def test_what_cannot_stand_there_is_told_and_the_first_one_stays_as_it_was(
    first: str, second: str, words: str, save_run: Callable[..., Path]
) -> None:
    one = load_finetuned(save_run("bert", first))
    before, names = one.read_outputs(TEXTS), set(one.model.state_dict())
    with pytest.raises(InputError, match=words):
        one.add_adapter(save_run("bert", second, FIVE))
    assert np.array_equal(one.read_outputs(TEXTS), before)
    assert not any("added_" in name for name in one.model.state_dict())
    assert first != "lora" or len(names) == len(one.model.state_dict())
    assert not any(set(layer.lora_A) - {"default"} for layer in one.model.modules() if isinstance(layer, LoraLayer))
