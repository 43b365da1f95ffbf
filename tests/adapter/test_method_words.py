"""What one word under `peft:` stands for."""

import pytest

from hf_tune.adapter.attach import attach_adapter, name_method
from hf_tune.adapter.method_words import WORDS, get_block, get_learning_rates
from hf_tune.model.checkpoint_config import ModelSource
from hf_tune.model.text_checkpoint import load_text_classifier
from hf_tune.model.text_processor import TextOptions
from hf_tune.recipe.library_arguments import accepted_by_peft, peft_types


@pytest.mark.parametrize("word", [word for word, what in WORDS.items() if what.block])
def test_a_word_stands_for_fields_that_its_config_has(word: str) -> None:
    block = get_block(word)
    assert block["peft_type"] in peft_types()
    assert set(block) <= set(accepted_by_peft(block["peft_type"]).hints)
    assert name_method(word) == word


def test_full_and_probe_need_no_peft() -> None:
    assert get_block("full") == get_block("probe") == {}


def test_a_block_stands_for_itself_and_changing_what_was_got_changes_no_word() -> None:
    block = {"peft_type": "LORA", "r": 3}
    got = get_block(block)
    assert got == block and got is not block
    get_block("lora")["r"] = 999
    assert get_block("lora")["r"] != 999


def test_a_block_learns_at_the_rates_of_its_type_and_other_types_at_those_of_lora() -> None:
    assert get_learning_rates({"peft_type": "IA3"}) == get_learning_rates("lora")
    assert get_learning_rates({"peft_type": "PREFIX_TUNING"}) == get_learning_rates("prefix")
    assert get_learning_rates({"peft_type": "BOTTLENECK"}) == get_learning_rates("bottleneck")
    for word, what in WORDS.items():
        assert get_learning_rates(word) == (what.learning_rate, what.head_learning_rate)
        assert 0 < what.learning_rate <= what.head_learning_rate  # a new head learns at least as fast


def test_a_task_may_have_rates_of_its_own() -> None:
    own = {"lora": (1.0, 2.0)}
    assert get_learning_rates("lora", own) == get_learning_rates({"peft_type": "LORA"}, own) == (1.0, 2.0)
    assert get_learning_rates("full", own) == get_learning_rates("full")


@pytest.mark.parametrize("word", [word for word, what in WORDS.items() if what.block])
def test_a_word_trains_what_its_block_written_out_trains(word: str, tiny_text_checkpoints: dict[str, str]) -> None:
    trained = []
    for method in (word, get_block(word)):
        source = ModelSource(pretrained_model_name_or_path=tiny_text_checkpoints["bert"])
        loaded = load_text_classifier(source, TextOptions(), ["a", "b"])
        model = attach_adapter(loaded, method, None, "SEQ_CLS")
        trained.append({name: value.shape for name, value in model.named_parameters() if value.requires_grad})
    assert trained[0] == trained[1]
    assert any("classifier" in name for name in trained[0]) and len(trained[0]) > 2
