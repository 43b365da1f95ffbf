"""Every rule: what breaks it, and what does not."""

from types import SimpleNamespace
from typing import Any

import pytest

from hf_tune.recipe import rules


TASK: Any = SimpleNamespace(
    metric_names={"single_label_classification": ("accuracy", "log_loss")},
    columns={"image": "a picture", "label": "its class"},
    peft_task_type=None,
    encode_rows=None,
)
TEXT_TASK: Any = SimpleNamespace(**{**vars(TASK), "peft_task_type": "SEQ_CLS", "encode_rows": len})

QUANTISED = {"model": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}}
STEPS = {"eval_strategy": "steps", "save_strategy": "steps"}
CHECKPOINTING_OPTIONS = "activation_checkpointing_kwargs"


def checkpointing(options: Any) -> dict[str, Any]:
    """Return a `training:` block with activation checkpointing and its options."""
    return {"activation_checkpointing": True, CHECKPOINTING_OPTIONS: options}


BROKEN = [
    ({"early_stopping": {"metric": "f1"}}, "early_stopping.metric", "reports: loss, accuracy, log_loss"),
    ({"training": {"metric_for_best_model": "eval_f1"}}, "training.metric_for_best_model", "no metric 'eval_f1'"),
    ({"early_stopping": {"patience": 1}, "training": {"save_strategy": "no"}}, "training.save_strategy", "sets it"),
    ({"early_stopping": {"patience": 1}, "training": {"eval_strategy": "no"}}, "training.eval_strategy", "`epoch`"),
    (
        {"training": {"load_best_model_at_end": True, "eval_strategy": "steps"}},
        "training.load_best_model_at_end",
        "evaluation (steps) and saving (epoch)",
    ),
    (
        {"training": {"load_best_model_at_end": True, "eval_strategy": "no", "save_strategy": "no"}},
        "training.load_best_model_at_end",
        "evaluation (no)",
    ),
    (
        {"early_stopping": {}, "training": {"eval_strategy": "steps", "eval_steps": 5, "save_steps": 10}},
        "training.save_steps",
        "saving (10) and evaluation (5) at the same steps",
    ),
    (
        {"early_stopping": {}, "training": {"eval_strategy": "steps", "logging_steps": 7, "save_steps": 5}},
        "training.save_steps",
        "saving (5) and evaluation (7)",
    ),
    (
        {"training": {**STEPS, "load_best_model_at_end": True, "save_steps": 1000}},
        "training.save_steps",
        "saving (1000) and evaluation (500)",
    ),
    ({"training": {"max_steps": 0}}, "training.max_steps", "at least 1, or -1"),
    (
        {"training": {"learning_rate": float("inf")}},
        "training.learning_rate",
        "inf is out of range; it must be finite",
    ),
    ({"training": {"weight_decay": float("nan")}}, "training.weight_decay", "nan is out of range"),
    ({"preprocess": {"mean": [0.5, float("inf")]}}, "preprocess.mean.1", "must be finite"),
    ({"early_stopping": {"threshold": float("nan")}}, "early_stopping.threshold", "must be finite"),
    ({"training": {"neftune_noise_alpha": 5.0}}, "training.neftune_noise_alpha", "no token embeddings"),
    ({"training": {"report_to": "dvclive"}}, "training.report_to", "dvclive is not installed; pip install dvclive"),
    ({"training": {"optim": "adam", "weight_decay": 0.1}}, "training.optim", "weight decay 0"),
    ({"training": {"fp16": True, "bf16": True}}, "training.fp16", "exclude each other"),
    ({"model": {"pretrained": False}, "peft": "probe"}, "peft", "base is random"),
    ({"model": {"pretrained": False}, "peft": {"peft_type": "LORA"}}, "peft", "base is random"),
    ({**QUANTISED, "peft": "probe"}, "peft", "weights of a quantised base cannot be trained"),
    (
        {"model": {"quantization_config": {"quant_method": "torchao"}, "pretrained": False}},
        "model.quantization_config",
        "nothing to quantise",
    ),
    (
        {"model": {"quantization_config": {"quant_method": "bitsandbytes"}}, "peft": "lora"},
        "model.quantization_config",
        "either 4 or 8 bits",
    ),
    (
        {**QUANTISED, "peft": "lora", "training": {"deepspeed": {"zero_optimization": {"stage": 3}}}},
        "training.deepspeed",
        "use stage 2",
    ),
    ({"data": {"columns": {"img": "x"}}}, "data.columns.img", "image: a picture; label: its class"),
    ({"peft": {"peft_type": "P_TUNING"}}, "peft.peft_type", "P_TUNING works on text models only"),
    ({"peft": "prefix"}, "peft", "PREFIX_TUNING works on text models only"),
    (
        {"training": {"train_sampling_strategy": "group_by_length"}},
        "training.train_sampling_strategy",
        "all have one size",
    ),
    (
        {"training": {CHECKPOINTING_OPTIONS: {"every_n_layers": 2}}},
        f"training.{CHECKPOINTING_OPTIONS}",
        "nothing reads",
    ),
    *(
        ({"training": checkpointing(options)}, ".".join(("training", CHECKPOINTING_OPTIONS, *key)), words)
        for options, key, words in (
            ("every", (), "'every' is no block"),
            ({"every_n_layers": 0}, ("every_n_layers",), "0 is out of range"),
            ({"every_n_layers": True}, ("every_n_layers",), "True is out of range"),
            (
                {"offload": True, "use_reentrant": True},
                ("use_reentrant",),
                "`use_reentrant: true` gradients may be lost",
            ),
            ({"preserve_rng_state": False}, ("preserve_rng_state",), "`preserve_rng_state: false` gradients may be"),
            ({"use_rentrant": False}, ("use_rentrant",), "it takes `every_n_layers` and `offload`"),
        )
    ),
    (
        {"training": {"torch_compile": False, "torch_compile_backend": "eager"}},
        "training.torch_compile_backend",
        "it compiles, and `torch_compile` is false",
    ),
    ({"peft": "lora", "model": {"dtype": "bfloat16"}}, "model.dtype", "write `training.bf16: true`"),
    (
        {"peft": "lora", "model": {"dtype": "float16"}, "training": {"bf16": True}},
        "model.dtype",
        "write `training.fp16: true`",
    ),
    ({"peft": "full", "model": {"dtype": "bfloat16"}}, "model.dtype", "`training.bf16: true` computes in it"),
    (
        {"peft": "full", "model": {"dtype": "bfloat16"}, "training": {"bf16": True}},
        "model.dtype",
        "rounded off to bfloat16, and small steps to none",
    ),
    ({"peft": "probe", "model": {"dtype": "float16"}}, "model.dtype", "rounded off to float16"),
    ({"peft": "bottleneck", "model": {"dtype": "float16"}}, "model.dtype", "outputs of a float16 base"),
]

BROKEN_WITH_TEXT = [
    (
        {"peft": "prefix", "training": {"activation_checkpointing": True}},
        "training.activation_checkpointing",
        "no gradient through activation checkpointing",
    ),
    (
        {"peft": {"peft_type": "PREFIX_TUNING", "prefix_projection": True}, "early_stopping": {}},
        "peft.prefix_projection",
        "cannot be trained on or loaded",
    ),
    (
        {"peft": {"peft_type": "P_TUNING"}, "training": {"load_best_model_at_end": True}},
        "peft.peft_type",
        "a checkpoint of P-tuning cannot be trained on or loaded",
    ),
]

KEPT: list[dict[str, Any]] = [
    {},
    {"peft": "lora", "model": {"dtype": "bfloat16"}, "training": {"bf16": True}},
    {"training": None, "model": None, "data": None, "early_stopping": None, "peft": None},
    {"early_stopping": {"metric": "loss"}, "training": {"eval_strategy": "steps"}},
    {"training": {"metric_for_best_model": "eval_log_loss"}},
    {"training": {"load_best_model_at_end": True, "eval_strategy": "steps", "save_strategy": "steps"}},
    {"training": {"load_best_model_at_end": True}},
    {"training": {**STEPS, "load_best_model_at_end": True, "eval_steps": 0.1, "save_steps": 0.1}},
    {"training": {**STEPS, "eval_steps": 5, "save_steps": 7}},
    {"early_stopping": {}, "training": {"eval_strategy": "epoch", "save_steps": 7}},
    {"training": {"max_steps": -1, "report_to": "none"}, "early_stopping": {"target": 0.5}},
    {"training": {"max_steps": 1, "report_to": ["none"]}},
    {"training": {"optim": "adam", "weight_decay": 0.0, "bf16": True, "fp16": False}},
    {"training": {"optim": "adamw_torch", "weight_decay": 0.1, "metric_for_best_model": "accuracy"}},
    {"training": checkpointing({"every_n_layers": 2, "offload": True, "use_reentrant": False})},
    {"training": {"torch_compile": True, "torch_compile_backend": "eager"}},
    {"training": {"torch_compile_mode": "max-autotune"}},
    {"model": {"pretrained": False}, "peft": "full"},
    {"model": {"pretrained": True}, "peft": {"peft_type": "LORA"}},
    {"data": {"columns": {"image": "img", "label": "y"}}},
    {**QUANTISED, "peft": "lora", "training": {"deepspeed": {"zero_optimization": {"stage": 2}}}},
]


@pytest.mark.parametrize(("values", "key", "words"), BROKEN_WITH_TEXT)
def test_a_broken_rule_of_prompts_is_found_alone(values: dict[str, Any], key: str, words: str) -> None:
    broken = list(rules.find_broken_rules(values, TEXT_TASK))
    assert [".".join(map(str, path)) for path, _, _ in broken] == [key]
    assert words in "; ".join(broken[0][1:])


@pytest.mark.parametrize(("values", "key", "words"), BROKEN)
def test_a_broken_rule_is_found_alone_with_its_key(values: dict[str, Any], key: str, words: str) -> None:
    broken = list(rules.find_broken_rules(values, TASK))
    assert [".".join(map(str, path)) for path, _, _ in broken] == [key]
    assert words in "; ".join(broken[0][1:])


@pytest.mark.parametrize("values", KEPT)
def test_a_right_recipe_breaks_no_rule(values: dict[str, Any]) -> None:
    assert list(rules.find_broken_rules(values, TASK)) == []


def test_every_rule_of_the_file_is_asked() -> None:
    defined = {name for name, value in vars(rules).items() if getattr(value, "__module__", "") == rules.__name__}
    private = {name for name in defined if name.startswith("_")}
    assert {rule.__name__ for rule in rules.RULES} == defined - private - {"find_broken_rules"}


def test_every_rule_has_a_recipe_here_that_breaks_it() -> None:
    tried = [(values, TASK) for values, _, _ in BROKEN] + [(values, TEXT_TASK) for values, _, _ in BROKEN_WITH_TEXT]
    for rule in rules.RULES:
        assert any(list(rule(*each)) for each in tried), rule.__name__


def test_a_prompt_method_is_right_where_peft_knows_the_task() -> None:
    assert list(rules.find_broken_rules({"peft": {"peft_type": "PREFIX_TUNING"}}, TEXT_TASK)) == []


def test_noise_on_embeddings_is_right_where_there_are_tokens() -> None:
    assert list(rules.find_broken_rules({"training": {"neftune_noise_alpha": 5}}, TEXT_TASK)) == []


def test_an_empty_early_stopping_block_sets_the_flags_too() -> None:
    values = {"early_stopping": {}, "training": {"save_strategy": "no"}}
    assert [path for path, _, _ in rules.find_broken_rules(values, TASK)] == [("training", "save_strategy")]
