"""Rules that join two blocks; each function is named as the sentence that it enforces and yields what breaks it."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from hf_tune.adapter.method_targets import PROMPTS
from hf_tune.adapter.method_words import WORDS, get_block
from hf_tune.recipe.hub_rules import HUB_RULES
from hf_tune.recipe.leaves import list_leaves
from hf_tune.recipe.library_arguments import find_missing_trackers
from hf_tune.recipe.mixing_rules import MIXING_RULES
from hf_tune.recipe.objective_rules import OBJECTIVE_RULES
from hf_tune.recipe.source import KeyPath
from hf_tune.recipe.stream_rules import STREAM_RULES, get_defaults
from hf_tune.task import Task


Broken: TypeAlias = Iterator[tuple[KeyPath, str, str]]
"""Key path, problem and hint."""
Values: TypeAlias = Mapping[str, Any]
"""The plain values of a recipe; blocks that are there are mappings, except for words under `peft:`."""


def find_broken_rules(values: Values, task: Task) -> Broken:
    """Yield every rule that the values break."""
    for rule in (*RULES, *OBJECTIVE_RULES, *STREAM_RULES, *MIXING_RULES, *HUB_RULES):
        yield from rule(values, task)


def best_model_needs_a_metric_that_the_task_reports(values: Values, task: Task) -> Broken:
    """Yield a metric that no evaluation will report."""
    known = ("loss", *dict.fromkeys(name for names in task.metric_names.values() for name in names))
    for path in (("early_stopping", "metric"), ("training", "metric_for_best_model")):
        metric = (values.get(path[0]) or {}).get(path[1])
        if isinstance(metric, str) and metric.removeprefix("eval_") not in known:
            yield path, f"the task reports no metric {metric!r}", f"it reports: {', '.join(known)}"


def early_stopping_sets_the_flags_of_the_trainer(values: Values, task: Task) -> Broken:
    """Yield a flag that is given beside the block that derives it."""
    training = (values.get("training") or {}) if values.get("early_stopping") is not None else {}
    for name in ("load_best_model_at_end", "metric_for_best_model", "greater_is_better", "save_strategy"):
        if name in training:
            yield ("training", name), "`early_stopping:` sets it", "leave one of the two out"
    if training.get("eval_strategy") == "no":
        yield ("training", "eval_strategy"), "early stopping needs evaluations", "write `epoch` or `steps`"


def best_model_needs_a_checkpoint_for_each_evaluation(values: Values, task: Task) -> Broken:
    """Yield strategies that differ where the best checkpoint is to be loaded."""
    training = values.get("training") or {}
    if training.get("load_best_model_at_end"):
        evaluate, save = training.get("eval_strategy", "epoch"), training.get("save_strategy", "epoch")
        if evaluate != save or evaluate == "no":
            problem = f"the best checkpoint needs evaluation ({evaluate}) and saving ({save}) at the same steps"
            yield ("training", "load_best_model_at_end"), problem, "give both the same strategy"


def the_best_step_is_a_saved_step(values: Values, task: Task) -> Broken:
    """Yield saving at other steps than evaluation: the Trainer then keeps no best checkpoint and says nothing.

    transformers 5.23 refuses only what is no multiple; of a multiple the best evaluation may still lie between.
    """
    written = values.get("training") or {}
    training = {**get_defaults(values), **written}
    best = values.get("early_stopping") is not None or training.get("load_best_model_at_end")
    save, evaluate = written.get("save_steps"), training.get("eval_steps") or training.get("logging_steps") or 500
    if best and training.get("eval_strategy") == "steps" and save not in (None, evaluate):
        problem = f"the best checkpoint needs saving ({save}) and evaluation ({evaluate}) at the same steps"
        yield ("training", "save_steps"), problem, "leave it out: it follows `eval_steps`"


def a_run_takes_at_least_one_step(values: Values, task: Task) -> Broken:
    """Yield `max_steps: 0`: transformers 5.23 trains a step with it."""
    if (values.get("training") or {}).get("max_steps") == 0:
        yield ("training", "max_steps"), "0 is out of range", "at least 1, or -1: as `num_train_epochs` says"


def numbers_are_finite(values: Values, task: Task) -> Broken:
    """Yield infinities and what is no number, wherever a block of ours or of a library holds one."""
    for block in ("model", "preprocess", "peft", "objective", "early_stopping", "training"):
        for path, value in list_leaves(values.get(block), (block,)):
            if isinstance(value, float) and not math.isfinite(value):
                yield path, f"{value!r} is out of range", "it must be finite"


def trackers_are_installed(values: Values, task: Task) -> Broken:
    """Yield a tracker whose package is not there."""
    report_to = (values.get("training") or {}).get("report_to")
    names = report_to if isinstance(report_to, list) else [report_to]
    for name, command in find_missing_trackers([each for each in names if isinstance(each, str)]).items():
        yield ("training", "report_to"), f"{name} is not installed", command


def noise_on_embeddings_needs_a_text(values: Values, task: Task) -> Broken:
    """Yield NEFTune on a task without text: there is no embedding of tokens that it could disturb."""
    if (values.get("training") or {}).get("neftune_noise_alpha") is not None and task.encode_rows is None:
        yield ("training", "neftune_noise_alpha"), "this task has no token embeddings", "leave it out"


def adam_is_adamw_without_weight_decay(values: Values, task: Task) -> Broken:
    """Yield `optim: adam` with weight decay: TrainingArguments has no such optimiser, and AdamW decays otherwise."""
    training = values.get("training") or {}
    if training.get("optim") == "adam" and training.get("weight_decay"):
        problem = "Adam is accepted as AdamW with weight decay 0, where the two are the same update"
        yield ("training", "optim"), problem, "write `optim: adamw_torch`, or take `weight_decay` out"


def one_precision_only(values: Values, task: Task) -> Broken:
    """Yield two precisions asked for at once."""
    training = values.get("training") or {}
    if training.get("fp16") and training.get("bf16"):
        yield ("training", "fp16"), "fp16 and bf16 exclude each other", "keep bf16 where the device has it"


def an_adapter_needs_a_pretrained_base(values: Values, task: Task) -> Broken:
    """Yield a method that freezes a base with random weights."""
    if (values.get("model") or {}).get("pretrained") is False and values.get("peft") not in ("full", None):
        problem = "this method keeps the base as it is, and with `pretrained: false` that base is random"
        yield ("peft",), problem, "write `peft: full`, or start from a checkpoint"


def a_quantised_base_needs_an_adapter(values: Values, task: Task) -> Broken:
    """Yield methods without an adapter, and a base that is not there: weights in 8 or 4 bits cannot be trained."""
    model = values.get("model") or {}
    if model.get("quantization_config") is None:
        return
    if values.get("peft") in ("full", "probe"):
        yield ("peft",), "the weights of a quantised base cannot be trained", "write `peft: lora`"
    if model.get("pretrained") is False:
        yield ("model", "quantization_config"), "with `pretrained: false` there is nothing to quantise", "leave it out"


def a_half_precision_base_needs_an_adapter_and_autocast(values: Values, task: Task) -> Broken:
    """Yield a base in half precision without an adapter, or whose adapter, in float32, would meet its outputs.

    Of BERT in bfloat16 no LayerNorm weight had moved after 30 steps of AdamW at 2e-4: a step rounds to none. The head
    of a probe trains in float32 and is rounded off when the model is loaded.
    """
    model, training = values.get("model") or {}, values.get("training") or {}
    dtype = model.get("dtype")
    flag = {"bfloat16": "bf16", "float16": "fp16"}.get(str(dtype))
    if flag and values.get("peft") in ("full", "probe"):
        problem = f"without an adapter what trains is rounded off to {dtype}, and small steps to none"
        yield ("model", "dtype"), problem, f"leave it out; `training.{flag}: true` computes in it all the same"
    elif flag and not training.get(flag):
        problem = f"what trains is float32, and cannot take the outputs of a {dtype} base as they are"
        yield ("model", "dtype"), problem, f"write `training.{flag}: true`, or leave `dtype` out"


def bitsandbytes_takes_4_or_8_bits(values: Values, task: Task) -> Broken:
    """Yield a config that says neither: transformers 5.23 then quantises nothing; both at once it refuses."""
    block = (values.get("model") or {}).get("quantization_config")
    if not isinstance(block, Mapping) or block.get("quant_method") != "bitsandbytes":
        return
    if bool(block.get("load_in_4bit")) == bool(block.get("load_in_8bit")):
        hint = "write `load_in_4bit: true` or `load_in_8bit: true`"
        yield ("model", "quantization_config"), "bitsandbytes takes either 4 or 8 bits", hint


def a_quantised_base_is_not_sharded(values: Values, task: Task) -> Broken:
    """Yield ZeRO stage 3 of DeepSpeed, which cuts weights into pieces, on weights that are packed bits."""
    deepspeed = (values.get("training") or {}).get("deepspeed")
    if (values.get("model") or {}).get("quantization_config") is None or deepspeed is None:
        return
    if isinstance(deepspeed, str) and Path(deepspeed).is_file():
        try:
            deepspeed = json.loads(Path(deepspeed).read_text(encoding="utf-8"))
        except ValueError as error:
            yield ("training", "deepspeed"), f"{deepspeed!r} is no JSON: {error}", "mend the file"
            return
    stage = (deepspeed.get("zero_optimization") or {}).get("stage") if isinstance(deepspeed, Mapping) else None
    if stage == 3:
        yield ("training", "deepspeed"), "ZeRO stage 3 cannot shard the weights of a quantised base", "use stage 2"


def roles_are_those_of_the_task(values: Values, task: Task) -> Broken:
    """Yield a role that the task does not have."""
    columns = (values.get("data") or {}).get("columns") or {}
    for role in columns if isinstance(columns, Mapping) else ():
        if role not in task.columns:
            roles = "; ".join(f"{name}: {what}" for name, what in task.columns.items())
            yield ("data", "columns", role), f"the task has no role {role!r}", f"its roles are {roles}"


def prompts_need_a_text_model(values: Values, task: Task) -> Broken:
    """Yield prompt methods on a task without text: PEFT 0.21 fails on image models with `KeyError: None`."""
    peft_type = _peft_type(values)
    if peft_type in PROMPTS and task.peft_task_type is None:
        path = ("peft", "peft_type") if isinstance(values.get("peft"), Mapping) else ("peft",)
        yield path, f"{peft_type} works on text models only", "use `peft: lora` here"


def a_prefix_needs_all_activations(values: Values, task: Task) -> Broken:
    """Yield a prefix with activation checkpointing: PEFT 0.21 then trains the head of BERT alone, silently."""
    training = values.get("training") or {}
    if _peft_type(values) in ("PREFIX_TUNING", "CARTRIDGE") and training.get("activation_checkpointing"):
        problem = "a prefix gets no gradient through activation checkpointing"
        yield ("training", "activation_checkpointing"), problem, "leave it out; a prefix needs little memory"


def activations_are_computed_again_as_they_were(values: Values, task: Task) -> Broken:
    """Yield options of checkpointing that are read by nothing, or change or lose gradients; seen with torch 2.15.

    `use_reentrant: true` gives none to adapters in a picture model, `preserve_rng_state: false` gives wrong ones under
    dropout; both in silence. The rest change nothing, or fail in the first step.
    """
    training, key = values.get("training") or {}, "activation_checkpointing_kwargs"
    options = training.get(key)
    if options is None:
        return
    if not training.get("activation_checkpointing"):
        yield ("training", key), "nothing reads it", "write `activation_checkpointing: true`, or leave it out"
    if not isinstance(options, Mapping):
        yield ("training", key), f"{options!r} is no block", "write `{every_n_layers: 2}`"
        return
    every = options.get("every_n_layers", 1)
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        yield ("training", key, "every_n_layers"), f"{every!r} is out of range", "it must be a whole number from 1 on"
    for name, value in options.items():
        if name not in ("every_n_layers", "offload") and (name, value) != ("use_reentrant", False):
            problem = f"with `{name}: {str(value).lower()}` gradients may be lost or wrong"
            yield ("training", key, name), problem, "it takes `every_n_layers` and `offload`"


def a_backend_compiles(values: Values, task: Task) -> Broken:
    """Yield a backend or mode beside `torch_compile: false`: transformers 5.23 compiles all the same."""
    training = values.get("training") or {}
    for name in ("torch_compile_backend", "torch_compile_mode"):
        if training.get("torch_compile") is False and training.get(name) is not None:
            yield ("training", name), "it compiles, and `torch_compile` is false", "leave one of the two out"


def a_projected_prefix_has_no_best_checkpoint(values: Values, task: Task) -> Broken:
    """Yield a projection or P-tuning with best-model selection: checkpoints hold its result and not its weights.

    For the projection PEFT 0.21 raises; of P-tuning it loads the head and silently keeps the last prompt.
    """
    peft, training = values.get("peft"), values.get("training") or {}
    best = values.get("early_stopping") is not None or training.get("load_best_model_at_end")
    if isinstance(peft, Mapping) and peft.get("prefix_projection") and best:
        problem = "a checkpoint of a projected prefix cannot be trained on or loaded as the best one"
        yield ("peft", "prefix_projection"), problem, "leave it out: without it the prefix learns faster"
    if _peft_type(values) == "P_TUNING" and best:
        problem = "a checkpoint of P-tuning cannot be trained on or loaded as the best one"
        yield ("peft", "peft_type"), problem, "use `peft: prefix`, or train without choosing a best one"


def rows_are_grouped_by_length_where_lengths_differ(values: Values, task: Task) -> Broken:
    """Yield a grouping by length for rows that are all of one size."""
    training = values.get("training") or {}
    if training.get("train_sampling_strategy") == "group_by_length" and task.encode_rows is None:
        yield ("training", "train_sampling_strategy"), "rows of this task all have one size", "leave it out"


def _peft_type(values: Values) -> str | None:
    """Return the PEFT type of a word or a block; None where PEFT is not used, or the word is unknown."""
    peft = values.get("peft")
    if isinstance(peft, Mapping):
        return str(peft.get("peft_type"))
    return get_block(peft).get("peft_type") if isinstance(peft, str) and peft in WORDS else None


RULES = (
    best_model_needs_a_metric_that_the_task_reports,
    early_stopping_sets_the_flags_of_the_trainer,
    best_model_needs_a_checkpoint_for_each_evaluation,
    the_best_step_is_a_saved_step,
    a_run_takes_at_least_one_step,
    numbers_are_finite,
    trackers_are_installed,
    noise_on_embeddings_needs_a_text,
    adam_is_adamw_without_weight_decay,
    one_precision_only,
    an_adapter_needs_a_pretrained_base,
    a_quantised_base_needs_an_adapter,
    a_half_precision_base_needs_an_adapter_and_autocast,
    bitsandbytes_takes_4_or_8_bits,
    a_quantised_base_is_not_sharded,
    roles_are_those_of_the_task,
    prompts_need_a_text_model,
    a_prefix_needs_all_activations,
    activations_are_computed_again_as_they_were,
    a_backend_compiles,
    a_projected_prefix_has_no_best_checkpoint,
    rows_are_grouped_by_length_where_lengths_differ,
)
