"""What learning rates, BatchNorm and augmentation do to MobileNetV2 on four sets of pictures: validation scores alone.

python -m tests.bench.method_defaults [SET …] [--setting WORDS …]

From the repository root, with the data and the checkpoint of ../shared (or HF_TUNE_SHARED). Every setting is trained
on three cuts of a set's train and validation rows, each with a seed of its own; no test row is read. A line is printed
for each set and setting: mean accuracy, that of each cut, and mean log-loss. All of it takes hours on two cores.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
from sklearn.model_selection import StratifiedKFold

from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune
from tests.bench.material import SHARED


CUTS = 3
RECIPE = """\
task: image_classification
model:
  pretrained_model_name_or_path: {model}
data:
  load:
    path: tests.bench.method_defaults:load
    name: {name}
    rows: {rows}
    cut: 0
preprocess:
  image_size: {side}
peft: full
linear_baseline: false
training:
  output_dir: {folder}/run
  per_device_train_batch_size: {batch}
  per_device_eval_batch_size: 64
  num_train_epochs: 6
  warmup_steps: 0.1
  lr_scheduler_type: cosine
"""
SETS = {  # rows of train and validation together, pixels, rows of a batch
    "ants_bees": (244, 224, 16),
    "magnetic_tile": (633, 128, 16),
    "cifar10": (900, 96, 32),
    "mnist": (600, 96, 32),
}
AUGMENT = "preprocess.augment=[{resized_crop: {scale: [0.5, 1.0]}}, horizontal_flip]"
REGULARISE = (
    "objective.head_learning_rate=1e-3",
    "objective.ema_decay=0.98",
    "training.label_smoothing_factor=0.1",
)
HEAD = "objective.head_learning_rate=5e-3"
SETTINGS = {
    **{
        f"full {rate}": ("peft=full", f"training.learning_rate={rate}", HEAD)
        for rate in ("1e-4", "2e-4", "5e-4", "1e-3")
    },
    "full 2e-4, frozen BatchNorm": ("peft=full", "training.learning_rate=2e-4", HEAD, "batch_norm=frozen"),
    "full 1e-4, augmented": ("peft=full", "training.learning_rate=1e-4", HEAD, AUGMENT),
    **{f"lora {rate}": ("peft=lora", f"training.learning_rate={rate}", HEAD) for rate in ("1e-3", "3e-3")},
    "lora 3e-4, regularised": ("peft=lora", "training.learning_rate=3e-4", AUGMENT, *REGULARISE),
    "full 1e-4, regularised": ("peft=full", "training.learning_rate=1e-4", AUGMENT, *REGULARISE),
    "lora 1e-3, augmented": ("peft=lora", "training.learning_rate=1e-3", HEAD, AUGMENT),
    **{
        f"probe {rate}": ("peft=probe", f"training.learning_rate={rate}", "training.num_train_epochs=30")
        for rate in ("1e-3", "3e-3", "1e-2")
    },
}


def load(name: str, rows: int, cut: int) -> datasets.DatasetDict:
    """Return train and validation: of so many rows of a set the quarter number `cut` validates, the rest trains."""
    parts = [datasets.load_dataset(str(SHARED / "data" / name), split=split) for split in ("train", "validation")]
    whole = datasets.concatenate_datasets(parts).select_columns(["image", "label"])
    if rows < len(whole):
        whole = whole.train_test_split(train_size=rows, seed=0, stratify_by_column="label")["train"]
    labels = np.asarray(whole["label"])
    train, validation = list(StratifiedKFold(4, shuffle=True, random_state=0).split(labels, labels))[cut]
    return datasets.DatasetDict({"train": whole.select(train), "validation": whole.select(validation)})


def measure(name: str, overrides: Sequence[str]) -> Iterator[tuple[float, float]]:
    """Yield accuracy and log-loss on the validation rows of each cut."""
    rows, side, batch = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        model = SHARED / "models" / "timm_mobilenetv2_100"
        text = RECIPE.format(name=name, rows=rows, side=side, batch=batch, model=model, folder=folder)
        recipe = Path(folder, "recipe.yaml")
        recipe.write_text(
            text if name == "ants_bees" else text.replace("  image_size", "  crop_mode: squash\n  image_size")
        )
        for cut in range(CUTS):
            own = (f"data.load.cut={cut}", f"training.seed={cut}", f"training.output_dir={folder}/{cut}")
            scores = finetune(load_recipe(recipe, [*overrides, *own]))["splits"]["validation"]
            yield scores["accuracy"]["value"], scores["log_loss"]["value"]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.method_defaults", description=__doc__)
    parser.add_argument("sets", nargs="*", help=f"{', '.join(SETS)}; all where none is given")
    parser.add_argument("--setting", nargs="*", default=list(SETTINGS), help="; ".join(SETTINGS))
    options = parser.parse_args(argv)
    for name in options.sets or SETS:
        for setting in options.setting:
            found = list(measure(name, SETTINGS[setting]))
            accuracies = [accuracy for accuracy, _ in found]
            each = " ".join(f"{accuracy:.3f}" for accuracy in accuracies)
            loss = np.mean([loss for _, loss in found])
            print(f"| {name} | {setting} | {np.mean(accuracies):.3f} ({each}) | {loss:.3f} |", flush=True)


if __name__ == "__main__":
    main()
