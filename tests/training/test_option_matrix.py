"""Every option of training with every method and family: the weights are those without the option, or it is refused.

The README's table "What goes with what" is made of REFUSED; `pytest -m slow` runs the larger half.
"""

import dataclasses
import gc
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file
from transformers import TrainerCallback, set_seed

import hf_tune.proof
from hf_tune.adapter.attach import attach_adapter
from hf_tune.assembly import build_trainer
from hf_tune.data.splits import load_splits
from hf_tune.finetuned import Finetuned, load_finetuned
from hf_tune.model.checkpoint import save_config, save_model
from hf_tune.model.quantised_base import cast_to_float32
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune
from hf_tune.tasks import get_task


PICTURES = ("vit", "timm", "resnet")
CONVOLUTIONS = ("timm", "resnet")
NO_DROPOUT: Mapping[str, str] = MappingProxyType(
    {
        # Dropout draws other masks for other shapes of batches, and inductor draws others than eager.
        "bert": "{hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}",
        "gpt2": "{resid_pdrop: 0.0, embd_pdrop: 0.0, attn_pdrop: 0.0}",
        "t5": "{dropout_rate: 0.0}",
    }
)
METHODS: Mapping[str, str] = MappingProxyType(
    {
        "full": "full",
        "probe": "probe",
        "lora": "{peft_type: LORA, r: 4}",
        "dora": "{peft_type: LORA, r: 4, use_dora: true}",
        "prefix": "{peft_type: PREFIX_TUNING, num_virtual_tokens: 4}",
        "bottleneck": "{peft_type: BOTTLENECK, reduction_factor: 4}",
        "ia3": "{peft_type: IA3}",
        "ln_tuning": "{peft_type: LN_TUNING}",
        "oft": "{peft_type: OFT, oft_block_size: 4, r: 0}",
        "prompt_tuning": "{peft_type: PROMPT_TUNING, num_virtual_tokens: 4}",
        "p_tuning": "{peft_type: P_TUNING, num_virtual_tokens: 4}",
    }
)
CHECKPOINTING = ("training.activation_checkpointing=true",)
ACCUMULATION = ("training.per_device_train_batch_size=4", "training.gradient_accumulation_steps=2")
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "activation_checkpointing": CHECKPOINTING,
        "gradient_accumulation_steps": ACCUMULATION,
        "bf16": ("training.bf16=true",),
        "torch_compile": ("training.torch_compile=true",),
        "torch_compile_backend: aot_eager": ("training.torch_compile_backend=aot_eager",),
        "activation_checkpointing, bf16": (*CHECKPOINTING, "training.bf16=true"),
        "activation_checkpointing, gradient_accumulation_steps": (*CHECKPOINTING, *ACCUMULATION),
        "activation_checkpointing, torch_compile": (*CHECKPOINTING, "training.torch_compile_backend=aot_eager"),
        "bf16, torch_compile": ("training.bf16=true", "training.torch_compile_backend=aot_eager"),
    }
)
REFUSED: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        # A part of the option, method, family → words of the sentence; "" is any.
        ("activation_checkpointing", "prefix", ""): "a prefix gets no gradient through activation checkpointing",
        ("activation_checkpointing", "", "resnet"): "ResNetForImageClassification does not support activation",
        ("activation_checkpointing", "full", "timm"): "BatchNorm's statistics would move twice a step",
    }
)
COMMON = ("full", "probe", "lora", "prefix", "bottleneck")
OTHERS = ("dora", "ia3", "ln_tuning", "oft", "prompt_tuning", "p_tuning")
QUICK = ("activation_checkpointing", "gradient_accumulation_steps", "bf16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run of three steps left."""

    start: Mapping[str, torch.Tensor]
    """What trains, before."""
    weights: Mapping[str, torch.Tensor]
    """Every tensor, afterwards."""
    losses: Sequence[float]
    """Of each step."""
    gradients: Mapping[str, float]
    """The largest of each trainable tensor in any step."""

    def find_largest_move(self) -> float:
        """Return the largest change of a value that trains."""
        return max((self.weights[name] - value).abs().max().item() for name, value in self.start.items())


class Watch(TrainerCallback):
    """Keeps the losses and the largest gradients."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.gradients: dict[str, float] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        for name, value in model.named_parameters():
            if value.requires_grad:
                largest = 0.0 if value.grad is None else value.grad.abs().max().item()
                self.gradients[name] = max(largest, self.gradients.get(name, 0.0))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **kwargs: Any) -> None:
        self.losses += [float(logs["loss"])] if "loss" in logs else []


Run = Callable[..., Trained]
REFERENCES: dict[tuple[str, ...], Trained] = {}


@pytest.fixture(autouse=True, scope="module")
def few_objects() -> Iterator[None]:
    """Set what was imported aside: accelerate collects garbage at every start, among all of it for 0.3 s."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def write(
    write_recipe: Callable[..., Path], write_text_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str]
) -> Callable[[str], Path]:
    """Return a function that writes the tiny recipe of a family."""

    def write_family(family: str) -> Path:
        return write_recipe(tiny_checkpoints[family]) if family in PICTURES else write_text_recipe(family)

    return write_family


def build(file: Path, family: str, method: str, overrides: Sequence[str]) -> tuple[Any, Any, Any, Any]:
    """Return recipe, loaded checkpoint, splits and Trainer, made in the steps of `finetune`."""
    common = ["training.optim=sgd", "training.max_grad_norm=0", "training.lr_scheduler_type=constant"]
    common += ["training.eval_strategy=no", "training.save_strategy=no", "training.logging_steps=1"]
    common += ["data.load.rows=20", f"peft={METHODS[method]}"]  # the third batch is half a one
    common += [f"training.learning_rate={0.1 if family in CONVOLUTIONS else 0.5}"]
    if family not in PICTURES:
        common += ["training.train_sampling_strategy=random"]  # groups of one length depend on the size of a batch
    if family in NO_DROPOUT:
        common += [f"model.config={NO_DROPOUT[family]}"]
    recipe = load_recipe(file, [*common, *overrides])
    task = get_task(recipe.task)
    set_seed(0)
    splits = load_splits(recipe.data, task)
    source = dataclasses.replace(recipe.model, problem_type=splits.problem_type)
    loaded = task.load_model(source, recipe.preprocess, splits.label_names)
    with recipe.blame("peft"):
        model = attach_adapter(loaded, recipe.peft, recipe.batch_norm, task.peft_task_type)
    return recipe, loaded, splits, build_trainer(recipe, task, loaded, model, splits)


@pytest.fixture
def run(write: Callable[[str], Path], tmp_path: Path) -> Run:
    """Return a function that trains a cell; all that trains has moved, and the saved model gives the same outputs."""

    def run_cell(family: str, method: str, overrides: Sequence[str] = ()) -> Trained:
        recipe, loaded, splits, trainer = build(write(family), family, method, overrides)
        model, watch = trainer.model, Watch()
        start = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
        trainer.add_callback(watch)
        torch._dynamo.reset()  # it compiles a function eight times in a process and then no more
        torch._dynamo.utils.counters.clear()
        trainer.train()
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert (graphs > 0) == trainer.args.torch_compile
        trained = dict(model.named_parameters())
        assert [name for name, value in start.items() if torch.equal(trained[name], value)] == []
        own = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        _check_saved(recipe, loaded, splits, trainer, own)
        weights = {name: value.detach().dequantize().clone() for name, value in own.state_dict().items()}
        return Trained(start=start, weights=weights, losses=watch.losses, gradients=watch.gradients)

    return run_cell


def _check_saved(recipe: Any, loaded: Any, splits: Any, trainer: Any, model: Any) -> None:
    """Save as a run does, load, and compare outputs on raw rows."""
    recipe.output_dir.mkdir(exist_ok=True)
    quantised = {"quantization_config": loaded.quantization} if loaded.quantization else {}
    values = {**recipe.values, "model": {**recipe.values["model"], **quantised}}
    YAML().dump(values, recipe.output_dir / "recipe.yaml")
    if hasattr(model, "peft_config"):
        model.save_pretrained(recipe.output_dir)
        save_config(model.config, loaded.processor, recipe.output_dir)
    else:
        save_model(model, loaded.processor, recipe.output_dir)
    cast_to_float32(model)  # a base in half precision; what was saved is read so too
    names, kind = splits.label_names, splits.problem_type
    own = Finetuned(task=trainer.task, model=model, encoder=loaded.processor, label_names=names, problem_type=kind)
    rows = [splits.validation[row] for row in range(len(splits.validation))]
    outputs = own.read_outputs(rows)
    difference = np.abs(load_finetuned(recipe.output_dir).read_outputs(rows) - outputs).max()
    assert difference <= 1e-6 * np.abs(outputs).max()


def find_refusal(option: str, method: str, family: str) -> str | None:
    """Return the words with which a cell is refused; None where it works."""
    for (part, whose, where), words in REFUSED.items():
        if part in option and whose in ("", method) and where in ("", family):
            return words
    return None


def _list_base(option: str, method: str, family: str) -> tuple[str, ...]:
    """Return what the reference has too: statistics of half a batch are others than those of a whole one."""
    return ("batch_norm=frozen",) if "accumulation" in option and method == "full" and family in PICTURES else ()


def check_cell(run: Run, option: str, method: str, family: str, folder: Path) -> None:
    """Train a cell with the option and without it and compare; or see it refused with nothing written."""
    base, words = _list_base(option, method, family), find_refusal(option, method, family)
    if words is not None:
        with pytest.raises(RecipeError, match=rf"training\.activation_checkpointing: {words}"):
            run(family, method, (*base, *OPTIONS[option]))
        assert not (folder / "run").exists()
        return
    key = (method, family, *base)
    if key not in REFERENCES:
        REFERENCES[key] = run(family, method, base)
    check_alike(REFERENCES[key], run(family, method, (*base, *OPTIONS[option])), option)


def check_alike(reference: Trained, trained: Trained, option: str, slack: float = 1) -> None:
    """Compare two runs as closely as the option allows: equal, but for other shapes, kernels and precision.

    `slack` multiplies the tolerance, for what is computed in half precision.
    """
    assert trained.weights.keys() == reference.weights.keys()
    assert len(trained.losses) == len(reference.losses) == 3
    if "bf16" in option:
        assert [name for name, largest in trained.gradients.items() if largest == 0] == []
        assert trained.losses[:2] == pytest.approx(reference.losses[:2], rel=0.03)
        assert trained.losses != reference.losses
        assert {value.dtype for value in trained.weights.values() if value.is_floating_point()} == {torch.float32}
        return
    again = option in ("activation_checkpointing", "torch_compile_backend: aot_eager")  # T5 goes without its cache
    tolerance = 1e-6 if again else 1e-4 if "compile" in option else 1e-5
    allowed = slack * tolerance * max(1.0, reference.find_largest_move())
    for name, value in reference.weights.items():
        difference = (trained.weights[name].double() - value.double()).abs().max().item()
        assert difference <= allowed, f"{name} differs by {difference}"


def _is_there(method: str, family: str) -> bool:
    """Tell whether the family has the method: tokens go before texts, but for T5; OFT has no Conv1D or 2d."""
    if method == "oft":
        return family not in (*CONVOLUTIONS, "gpt2")
    if method == "prefix":
        return family not in (*PICTURES, "t5")
    return method not in ("prompt_tuning", "p_tuning") or family == "bert"


def _list_cells(options: Sequence[str], methods: Sequence[str], families: Sequence[str]) -> Iterator[Any]:
    for family, method, option in itertools.product(families, methods, options):
        if _is_there(method, family):
            yield pytest.param(option, method, family, id=f"{option}-{method}-{family}")


@pytest.mark.parametrize(("option", "method", "family"), _list_cells(QUICK, COMMON, ("bert", "vit", "timm")))
def test_a_cell_gives_what_it_gives_without_the_option(
    option: str, method: str, family: str, run: Run, tmp_path: Path
) -> None:
    check_cell(run, option, method, family, tmp_path)


SLOW = (
    *_list_cells(QUICK, COMMON, ("gpt2", "llama", "t5", "resnet")),
    *_list_cells(QUICK, OTHERS, ("bert", "gpt2", "vit", "timm")),
    *_list_cells(("activation_checkpointing, bf16",), COMMON, ("bert", "vit", "timm")),
    *_list_cells(("activation_checkpointing, gradient_accumulation_steps",), COMMON, ("gpt2", "vit")),
    *_list_cells(("torch_compile_backend: aot_eager",), (*COMMON, "dora", "ia3", "ln_tuning", "oft"), ("vit",)),
    *_list_cells(("torch_compile_backend: aot_eager",), ("full", "bottleneck"), ("timm",)),
    *_list_cells(("torch_compile_backend: aot_eager",), ("full",), ("resnet",)),
    *_list_cells(("torch_compile_backend: aot_eager",), ("lora", "prefix"), ("llama",)),
    *_list_cells(("torch_compile_backend: aot_eager",), ("bottleneck",), ("gpt2",)),
    *_list_cells(("torch_compile_backend: aot_eager",), ("prompt_tuning", "p_tuning"), ("bert",)),
    *_list_cells(("activation_checkpointing, torch_compile", "bf16, torch_compile"), ("bottleneck",), ("vit",)),
    *_list_cells(("torch_compile",), ("lora",), ("bert", "timm")),
)


@pytest.mark.slow
@pytest.mark.parametrize(("option", "method", "family"), SLOW)
def test_another_cell_gives_what_it_gives_without_the_option(
    option: str, method: str, family: str, run: Run, tmp_path: Path
) -> None:
    check_cell(run, option, method, family, tmp_path)


def test_activation_checkpointing_draws_the_same_dropout_again(run: Run) -> None:
    dropout = ("model.config={hidden_dropout_prob: 0.3, attention_probs_dropout_prob: 0.3}",)
    reference = run("bert", "lora", dropout)
    check_alike(reference, run("bert", "lora", (*dropout, *CHECKPOINTING)), "activation_checkpointing")


def test_trained_statistics_are_those_of_micro_batches(write: Callable[[str], Path]) -> None:
    """With `batch_norm: trained` accumulation is no larger batch: each half is normalised by itself, as by hand."""
    _, _, _, trainer = build(write("timm"), "timm", "full", ACCUMULATION)
    _, _, _, other = build(write("timm"), "timm", "full", ACCUMULATION)
    trainer.train()
    model, batches = other.model.train(), list(other.get_train_dataloader())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    assert [len(batch["labels"]) for batch in batches] == [4] * 5
    for step in (batches[:2], batches[2:4], batches[4:]):
        rows = sum(len(batch["labels"]) for batch in step)
        optimiser.zero_grad()
        for batch in step:
            logits = model(**other.task.build_inputs(batch, other.encoder, model)).logits
            (torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="sum") / rows).backward()
        optimiser.step()
    expected = trainer.model.state_dict()
    assert all(torch.allclose(expected[name], value, atol=1e-5) for name, value in model.state_dict().items())


def test_frozen_statistics_let_a_network_checkpoint(run: Run) -> None:
    frozen = ("batch_norm=frozen",)
    reference = REFERENCES.get(("full", "timm", *frozen)) or run("timm", "full", frozen)
    check_alike(reference, run("timm", "full", (*frozen, *CHECKPOINTING)), "activation_checkpointing")


def test_statistics_that_an_adapter_trains_would_move_twice(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.activation_checkpointing: BatchNorm's statistics"):
        run("timm", "lora", ("batch_norm=trained", *CHECKPOINTING))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("option", [*QUICK, "torch_compile_backend: aot_eager"])
@pytest.mark.parametrize(
    "base",
    [
        "model.quantization_config={quant_method: torchao, quant_type: Int8WeightOnlyConfig}",
        "model.dtype=bfloat16",
    ],
)
def test_a_base_in_fewer_bits_takes_the_options(base: str, option: str, run: Run) -> None:
    pytest.importorskip("torchao")
    needed = (base, *(("training.bf16=true",) if "dtype" in base else ()))
    reference = run("bert", "lora", needed)
    trained = run("bert", "lora", (*needed, *OPTIONS[option]))
    if option == "bf16" and "dtype" in base:  # it needs the option, and so both runs have it
        assert trained.losses == reference.losses
    else:
        check_alike(reference, trained, option, slack=1000 if "dtype" in base else 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "prefix"])
def test_a_compiled_run_keeps_its_best_checkpoint_and_is_saved_and_proved_under_plain_names(
    method: str, write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch 2.15 puts `_orig_mod.` before the names of a compiled module, and calls no hook that comes later."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    overrides = ["training.torch_compile_backend=eager", "training.bf16=true", "training.num_train_epochs=2"]
    overrides += ["early_stopping.metric=loss", f"peft={METHODS[method]}"]
    results = finetune(load_recipe(write("bert"), overrides))
    assert results["proof"]["passed"] and results["best_checkpoint"] is not None
    files = [*tmp_path.glob("run/*model.safetensors"), *tmp_path.glob("run/checkpoint-*/*model.safetensors")]
    assert len(files) >= 2
    for file in files:
        assert not any("_orig_mod" in name for name in load_file(file))


def test_the_readme_says_what_goes_with_what() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert _format_table() in readme, f"put this into README.md:\n{_format_table()}"


def _format_table() -> str:
    """Return what is refused as a table in Markdown."""
    families = ("bert", "gpt2", "llama", "t5", "vit", "timm", "resnet")
    names = {"full": "`full`", "probe": "`probe`", "lora": "`lora`, DoRA", "prefix": "`prefix`"}
    names |= {"bottleneck": "`bottleneck`", "ia3": "IA3, LN tuning, OFT", "p_tuning": "prompt and P-tuning"}
    lines = ["| | " + " | ".join(names.values()) + " |", "|---" * (len(names) + 1) + "|"]
    for option in (*QUICK, "torch_compile"):
        cells = []
        for method in names:
            there = [family for family in families if _is_there(method, family)]
            refused = [family for family in there if find_refusal(option, method, family)]
            cells.append("refused" if refused == there else f"not {', '.join(refused)}" if refused else "works")
        lines.append(f"| `{option}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)
