"""Rules that join two blocks; each function is named as the sentence that it enforces and yields what breaks it."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from hf_tune.recipe.source import KeyPath
from hf_tune.task import Task


Broken: TypeAlias = Iterator[tuple[KeyPath, str, str]]
"""Key path, problem and hint."""
Values: TypeAlias = Mapping[str, Any]
"""The plain values of a recipe; blocks that are there are mappings, except for words under `peft:`."""


def find_broken_rules(values: Values, task: Task) -> Broken:
    """Yield every rule that the values break."""
    for rule in RULES:
        yield from rule(values, task)


def best_model_needs_a_metric_that_the_task_reports(values: Values, task: Task) -> Broken:
    """Yield a metric that no evaluation will report."""
    known = ("loss", *task.metric_names)
    for path in (("early_stopping", "metric"), ("training", "metric_for_best_model")):
        metric = (values.get(path[0]) or {}).get(path[1])
        if isinstance(metric, str) and metric.removeprefix("eval_") not in known:
            yield path, f"the task reports no metric {metric!r}", f"it reports: {', '.join(known)}"


def early_stopping_sets_the_flags_of_the_trainer(values: Values, task: Task) -> Broken:
    """Yield a flag that is given beside the block that derives it."""
    if values.get("early_stopping") is None:
        return
    training = values.get("training") or {}
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


def roles_are_those_of_the_task(values: Values, task: Task) -> Broken:
    """Yield a role that the task does not have."""
    columns = (values.get("data") or {}).get("columns") or {}
    for role in columns if isinstance(columns, Mapping) else ():
        if role not in task.columns:
            roles = "; ".join(f"{name}: {what}" for name, what in task.columns.items())
            yield ("data", "columns", role), f"the task has no role {role!r}", f"its roles are {roles}"


def prompts_need_a_text_model(values: Values, task: Task) -> Broken:
    """Yield prompt methods on a task without text: PEFT 0.21 fails on image models with `KeyError: None`."""
    peft = values.get("peft")
    prompts = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT")
    if isinstance(peft, Mapping) and peft.get("peft_type") in prompts and task.peft_task_type is None:
        yield ("peft", "peft_type"), f"{peft['peft_type']} works on text models only", "use `peft: lora` here"


RULES = (
    best_model_needs_a_metric_that_the_task_reports,
    early_stopping_sets_the_flags_of_the_trainer,
    best_model_needs_a_checkpoint_for_each_evaluation,
    adam_is_adamw_without_weight_decay,
    one_precision_only,
    an_adapter_needs_a_pretrained_base,
    roles_are_those_of_the_task,
    prompts_need_a_text_model,
)
