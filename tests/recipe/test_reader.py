"""Sixty broken recipes: each is told with file, line, key and cure; and what a right one is read as."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_tune.adapter.method_words import get_learning_rates
from hf_tune.data.augmentation import RandomCrop
from hf_tune.data.rand_augment import RandAugment
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.tasks import get_task


# (text to replace, its replacement, line of the problem, key, words that the message must hold)
BROKEN = [
    ("task: image_classification", "task: image_clasification", 1, "task", "did you mean `image_classification`"),
    ("task: image_classification", "task: 3", 1, "task", "expected a word"),
    ("task: image_classification", "task: my.module", 1, "task", "or a dotted module of your own"),
    ("task: image_classification\n", "", 1, "", "`task` is missing"),
    ("peft: full", "petf: full", 15, "petf", "did you mean `peft`"),
    ("peft: full", "peft: loar", 15, "peft", "did you mean `lora`"),
    ("peft: full", "peft: [lora]", 15, "peft", "known: bottleneck, full, lora, prefix, probe or a block"),
    ("peft: full", "peft: {r: 8}", 15, "peft", "`peft_type` is missing"),
    ("peft: full", "peft: {peft_type: LORRA}", 15, "peft.peft_type", "did you mean `LORA`"),
    ("peft: full", "peft:\n  peft_type: LORA\n  rank: 8", 17, "peft.rank", "unknown key of LoraConfig"),
    ("peft: full", "peft:\n  peft_type: LORA\n  r: eight", 17, "peft.r", "expected a whole number, got 'eight'"),
    ("peft: full", "peft:\n  peft_type: LORA\n  r: 0", 17, "peft.r", "at least 1"),
    ("peft: full", "peft:\n  peft_type: LORA\n  lora_dropout: 2.0", 17, "peft.lora_dropout", "at most 1"),
    ("peft: full", "peft:\n  peft_type: LORA\n  task_type: SEQ_CLS", 17, "peft.task_type", "taken from `task:`"),
    ("peft: full", "peft:\n  peft_type: PREFIX_TUNING", 16, "peft.peft_type", "works on text models only"),
    ("peft: full", "peft: lora", 15, "peft", "that base is random"),
    ("peft: full", "peft: full\nbatch_norm: forzen", 16, "batch_norm", "expected frozen, trained or synced"),
    ("peft: full", "peft: full\nearly_stopping: 3", 16, "early_stopping", "expected a block of keys"),
    (
        "peft: full",
        "peft: full\nearly_stopping:\n  metric: acuracy",
        17,
        "early_stopping.metric",
        "no metric 'acuracy'",
    ),
    ("peft: full", "peft: full\nearly_stopping:\n  patience: 0", 17, "early_stopping.patience", "at least 1"),
    ("peft: full", "peft: full\nearly_stopping:\n  patience: 1.5", 17, "early_stopping.patience", "a whole number"),
    (
        "peft: full",
        "peft: full\nearly_stopping:\n  patient: 2",
        17,
        "early_stopping.patient",
        "did you mean `patience`",
    ),
    ("peft: full", "peft: full\nobjective: 3", 16, "objective", "expected a block of keys"),
    ("peft: full", "peft: full\nobjective:\n  layer_decay: 1.5", 17, "objective.layer_decay", "above 0 and at most 1"),
    (
        "peft: full",
        "peft: full\nobjective:\n  head_learning_rates: 1e-2",
        17,
        "objective.head_learning_rates",
        "did you mean `head_learning_rate`",
    ),
    (
        "peft: full",
        "peft: full\nobjective:\n  head_learning_rate: fast",
        17,
        "objective.head_learning_rate",
        "expected a number, got 'fast'",
    ),
    ("peft: full", "peft: full\ncard:\n  licence: mit", 17, "card.licence", "did you mean `license`"),
    ("peft: full", "peft: full\npeft: lora", 16, "", "given twice, first on line 15"),
    ("  pretrained: false", "  pretraind: false", 5, "model.pretraind", "did you mean `pretrained`"),
    ("  pretrained: false", "  pretrained: no", 5, "model.pretrained", "expected true or false, got 'no'"),
    ("  pretrained: false", "  torch_dtype: float32", 5, "model.torch_dtype", "it is called `dtype` now"),
    ("  pretrained: false", "  dtype: float23", 5, "model.dtype", "one of 'float32'"),
    ("  pretrained: false", "  token: hf_secret", 5, "model.token", "never write a token into a recipe"),
    ("  pretrained: false", "  drop_rate: 0.1", 5, "model.drop_rate", "write it under `model_args:`"),
    ("  pretrained_model_name_or_path: timm/test_resnet.r160_in1k\n", "", 3, "model", "is missing"),
    ("    path: tiny_pictures:load", "    name: x", 8, "data.load.path", "`path` is missing"),
    (
        "    path: tiny_pictures:load",
        "    path: csv\n    data_file: x.csv",
        10,
        "data.load.data_file",
        "did you mean `data_files`",
    ),
    ("    path: tiny_pictures:load", "    path: csv\n    split: train", 10, "data.load.split", "under `data.splits`"),
    ("    path: tiny_pictures:load", "    path: csv\n    streaming: yes", 10, "data.load.streaming", "true or false"),
    (
        "    path: tiny_pictures:load",
        "    path: csv\n    streaming: true",
        18,
        "training.max_steps",
        "write `max_steps`",
    ),
    ("preprocess:", "  shuffle_buffer: 0\npreprocess:", 11, "data.shuffle_buffer", "at least 1"),
    ("    path: tiny_pictures:load", "    path: csv\n    token: hf_x", 10, "data.load.token", "never write a token"),
    ("  load:\n", "  laod:\n", 8, "data.laod", "did you mean `load`"),
    ("preprocess:", "  splits: {validation: 2.0}\npreprocess:", 11, "data.splits.validation", "no fraction of train"),
    (
        "preprocess:",
        "  splits: {vaildation: dev}\npreprocess:",
        11,
        "data.splits.vaildation",
        "did you mean `validation`",
    ),
    ("preprocess:", "  columns: {picture: img}\npreprocess:", 11, "data.columns.picture", "its roles are image"),
    ("preprocess:", "  columns: {image: 3}\npreprocess:", 11, "data.columns", "expected"),
    ("  image_size: 32", "  image_sise: 32", 12, "preprocess.image_sise", "did you mean `image_size`"),
    ("  image_size: 32", '  image_size: "32"', 12, "preprocess.image_size", "a whole number, got '32'"),
    ("  image_size: 32", "  image_size: 2", 12, "preprocess.image_size", "8 to 4096"),
    (
        "  image_size: 32",
        "  augment:\n    - rand_augment: {num_opps: 2}",
        13,
        "preprocess.augment.0.rand_augment.num_opps",
        "did you mean `num_ops`",
    ),
    (
        "  image_size: 32",
        "  augment:\n    - random_crop\n    - rand_augment: {magnitude: 31}",
        14,
        "preprocess.augment.1.rand_augment.magnitude",
        "at most 30",
    ),
    ("  image_size: 32", "  crop_pct: 1.5", 12, "preprocess.crop_pct", "at most 1"),
    ("  image_size: 32", "  mean: [0.5]", 12, "preprocess.mean", "each of 3 channels"),
    ("  image_size: 32", "  std: [0.5, 0, 0.5]", 12, "preprocess.std", "each of 3 channels"),
    ("  image_size: 32", "  augment: [flip]", 12, "preprocess.augment.0", "horizontal_flip"),
    (
        "  image_size: 32",
        "  augment: [{rotation: {degree: 9}}]",
        12,
        "preprocess.augment.0.rotation.degree",
        "`degrees`",
    ),
    (
        "  image_size: 32",
        "  augment: [{rotation: {degrees: 900}}]",
        12,
        "preprocess.augment.0.rotation.degrees",
        "180",
    ),
    ("  crop_mode: squash", "  crop_mode: stretch", 13, "preprocess.crop_mode", "one of 'center', 'squash'"),
    ("learning_rate: 1e-2", "learnin_rate: 1e-2", 21, "training.learnin_rate", "did you mean `learning_rate`"),
    ("learning_rate: 1e-2", "learning_rate: fast", 21, "training.learning_rate", "expected a number, got 'fast'"),
    ("learning_rate: 1e-2", "learning_rate: -1e-2", 21, "training.learning_rate", "at least 0"),
    (
        "per_device_train_batch_size: 8",
        "per_device_train_batch_size: 0",
        19,
        "training.per_device_train_batch_size",
        "at least 1",
    ),
    (
        "per_device_train_batch_size: 8",
        "per_gpu_train_batch_size: 8",
        19,
        "training.per_gpu_train_batch_size",
        "per_device_train_batch_size",
    ),
    ("seed: 0", "seed: -1", 22, "training.seed", "at least 0"),
    ("seed: 0", "seed: true", 22, "training.seed", "a whole number, got True"),
    ("seed: 0", "report_to: nothing", 22, "training.report_to", "neptune, none, swanlab, tensorboard"),
    ("learning_rate: 1e-2", "learning_rate: .inf", 21, "training.learning_rate", "must be finite"),
    ("seed: 0", "weight_decay: .nan", 22, "training.weight_decay", "nan is out of range"),
    ("seed: 0", "max_steps: 0", 22, "training.max_steps", "at least 1, or -1"),
    ("seed: 0", "local_rank: 0", 22, "training.local_rank", "the launcher sets it"),
    ("seed: 0", "dataloader_drop_last: true", 22, "training.dataloader_drop_last", "rows of the evaluation too"),
    ("seed: 0", "neftune_noise_alpha: 5", 22, "training.neftune_noise_alpha", "no token embeddings"),
    ("seed: 0", "evaluation_strategy: epoch", 22, "training.evaluation_strategy", "called `eval_strategy` now"),
    ("seed: 0", "eval_strategy: epochs", 22, "training.eval_strategy", "did you mean `epoch`"),
    ("seed: 0", "no_cuda: true", 22, "training.no_cuda", "called `use_cpu` now"),
    ("seed: 0", "overwrite_output_dir: true", 22, "training.overwrite_output_dir", "--overwrite"),
    ("seed: 0", "group_by_length: true", 22, "training.group_by_length", "train_sampling_strategy"),
    ("seed: 0", "warmup_ratio: 0.1", 22, "training.warmup_ratio", "`warmup_steps: 0.05`"),
    ("seed: 0", "optim: adamm", 22, "training.optim", "did you mean `adam`"),
    ("seed: 0", "optim: adam\n  weight_decay: 0.1", 22, "training.optim", "AdamW with weight decay 0"),
    ("seed: 0", "lr_scheduler_type: cosin", 22, "training.lr_scheduler_type", "did you mean `cosine`"),
    ("seed: 0", "metric_for_best_model: f1", 22, "training.metric_for_best_model", "it reports: loss, accuracy"),
    ("seed: 0", "fp16: true\n  bf16: true", 22, "training.fp16", "exclude each other"),
    ("seed: 0", "load_best_model_at_end: true\n  save_strategy: steps", 22, "training.load_best_model_at_end", "same"),
    ("  output_dir: {output}\n", "", 17, "training", "`output_dir` is missing"),
    ("task: image_classification", "task:", 1, "", "`task` is missing"),
    ("peft: full", "peft:", 1, "", "`peft` is missing"),
    ("  output_dir: {output}", "  output_dir:", 17, "training", "`output_dir` is missing"),
    ("seed: 0", "run_name: 2026-01-01", 22, "training.run_name", "is not a value for this key"),
    ("task: image_classification", "task: [image", 3, "", "not valid YAML"),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "words"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_broken_recipe_names_file_line_key_and_cure(
    old: str, new: str, line: int, key: str, words: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(replace=((old.replace("{output}", str(tmp_path / "run")), new),))
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe)
    message = str(caught.value)
    told = [each for each in message.splitlines() if each.startswith(f"{recipe}:{line}: {key}") and words in each]
    assert told, message
    assert not (tmp_path / "run").exists()


def test_all_problems_are_told_at_once_in_the_order_of_the_file(write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe(
        replace=(("seed: 0", "sede: 0"), ("image_size: 32", "image_sise: 3"), ("peft: full", "peft: x"))
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, ["training.learning_rate=high"])
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines[:3]] == ["12", "15", "22"]
    assert lines[3].startswith("command line: training.learning_rate=high: training.learning_rate: expected a number")


def test_a_right_recipe_keeps_the_librarys_names_and_yaml_1_2_values(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(), ["training.learning_rate=3e-4", "peft=full"])
    assert recipe.training["learning_rate"] == 3e-4
    assert recipe.training["per_device_train_batch_size"] == 8
    assert recipe.model.pretrained is False


def test_an_augmentation_is_a_word_or_a_word_with_options(write_recipe: Callable[..., Path]) -> None:
    augment = "crop_mode: squash\n  augment: [random_crop, rand_augment, {rand_augment: {num_ops: 3, magnitude: 5}}]"
    recipe = load_recipe(write_recipe(replace=(("crop_mode: squash", augment),)))
    first, second, third = recipe.preprocess.augment
    assert (first, second) == (RandomCrop(), RandAugment())
    assert third == RandAugment(num_ops=3, magnitude=5, num_magnitude_bins=31)


def test_a_missing_file_names_the_recipes_beside_it(write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe()
    with pytest.raises(RecipeError, match=r"no such file; recipes in .*recipe\.yaml"):
        load_recipe(recipe.with_name("recipes.yaml"))


def test_early_stopping_derives_the_trainers_flags(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(), ["early_stopping.metric=f1_macro", "early_stopping.target=0.9"])
    derived = {
        name: recipe.training[name]
        for name in ("load_best_model_at_end", "metric_for_best_model", "greater_is_better")
    }
    assert derived == {"load_best_model_at_end": True, "metric_for_best_model": "f1_macro", "greater_is_better": True}
    assert recipe.training["save_strategy"] == recipe.training["eval_strategy"] == "epoch"


def test_rates_that_are_left_out_are_those_of_the_method_and_the_task(
    write_text_recipe: Callable[..., Path], write_recipe: Callable[..., Path], tiny_checkpoints: dict[str, str]
) -> None:
    recipe = write_text_recipe(replace=(("  learning_rate: 1e-2\n", ""),))
    for method, word in (("full", "full"), ("lora", "lora"), ("{peft_type: IA3}", "lora")):
        read = load_recipe(recipe, [f"peft={method}"])
        assert (read.training["learning_rate"], read.objective.head_learning_rate) == get_learning_rates(word)
    written = load_recipe(recipe, ["peft=lora", "training.learning_rate=0.5", "objective.loraplus_lr_ratio=16"])
    assert written.training["learning_rate"] == 0.5
    assert (written.objective.head_learning_rate, written.objective.loraplus_lr_ratio) == (None, 16)
    pictures = write_recipe(tiny_checkpoints["timm"], replace=(("  learning_rate: 1e-2\n", ""),))
    for method, rates in (
        ("full", get_learning_rates("full")),
        *get_task("image_classification").learning_rates.items(),
    ):
        read = load_recipe(pictures, [f"peft={method}"])
        assert (read.training["learning_rate"], read.objective.head_learning_rate) == rates


def test_a_task_brings_the_arguments_that_it_cannot_do_without(write_text_recipe: Callable[..., Path]) -> None:
    recipe = write_text_recipe()
    assert load_recipe(recipe).training["train_sampling_strategy"] == "group_by_length"
    asked = load_recipe(recipe, ["training.train_sampling_strategy=random"])
    assert asked.training["train_sampling_strategy"] == "random"


def test_adam_is_adamw_without_decay(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe(), ["training.optim=adam"])
    assert recipe.training["optim"] == "adamw_torch_fused" and recipe.training["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.seed", "write it as `block.key=value`"),
        ("peft.r=4", "`peft` is 'full', which has no keys"),
        ("training.seed=[1", "is not valid YAML"),
        ("trainng.seed=1", "did you mean `training`"),
    ],
)
def test_a_broken_override_is_named_as_such(override: str, words: str, write_recipe: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_recipe(), [override])
    assert str(caught.value).startswith(f"command line: {override}")
    assert words in str(caught.value)


def test_what_stands_beside_a_recipe_hides_no_library(write_recipe: Callable[..., Path]) -> None:
    """pandas 3 imports a package `bottleneck` where it finds one, and failed on the folder of a run called so."""
    recipe = write_recipe()
    (recipe.parent / "bottleneck").mkdir()
    (recipe.parent / "timm.py").write_text("raise RuntimeError('the wrong timm')")
    code = f"from hf_tune import load_recipe; load_recipe({str(recipe)!r}); import timm; timm.create_model"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_module_beside_the_newest_recipe_is_found_first(
    write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    first = write_recipe()
    second = shutil.copytree(first.parent, tmp_path / "second") / "recipe.yaml"
    for recipe in (first, second, first):
        load_recipe(recipe)
        found = importlib.util.find_spec("tiny_pictures")
        assert found is not None and found.origin == str(recipe.with_name("tiny_pictures.py"))
