"""MiniLM on banking77, all weights trained: padding to a fixed length, to the longest of a batch, and hf_tune."""

from typing import Any

import torch

from tests.bench.job import Job
from tests.bench.stopwatch import Stopwatch


BATCH_SIZE = 16
LEARNING_RATE = 2e-4


def examples_trainer(job: Job) -> dict[str, Any]:
    """Train as run_glue.py does; option `padding`: `max_length` (128, its default) or `longest`."""
    import datasets
    import transformers

    longest = job.options["padding"] == "longest"
    steps = job.choose(62, 10) if longest else job.choose(14, 4)
    watch = Stopwatch(steps, 2, BATCH_SIZE)
    name = job.find("all-MiniLM-L6-v2")
    tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    rows = datasets.load_dataset(job.find("banking77"), split=f"train[:{_num_rows(job)}]")
    classes = rows.features["label"].num_classes
    padding = False if longest else "max_length"
    rows = rows.map(
        lambda batch: tokenizer(batch["text"], padding=padding, max_length=128, truncation=True), batched=True
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        name, num_labels=classes, dtype=torch.float32
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(job.make_folder() / "trainer"),
        per_device_train_batch_size=BATCH_SIZE,
        max_steps=steps,
        learning_rate=LEARNING_RATE,
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    collate = transformers.DataCollatorWithPadding(tokenizer) if longest else transformers.default_data_collator
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=[watch.as_callback()],
    )
    trainer.train()
    return watch.read()


def tuned(job: Job) -> dict[str, Any]:
    """Train a whole epoch of the same rows by a recipe, so that long and short batches come in their proportion."""
    from tests.bench.recipe_runs import time_recipe

    rows = _num_rows(job)
    watch = Stopwatch(rows // BATCH_SIZE, 2, BATCH_SIZE)
    return time_recipe(write_recipe(job, rows, {"num_train_epochs": 1}), job, watch)


def write_recipe(job: Job, rows: int, training: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe on the first rows of train."""
    return {
        "task": "text_classification",
        "model": {"pretrained_model_name_or_path": job.find("all-MiniLM-L6-v2")},
        "data": {
            "load": {"path": job.find("banking77")},
            "splits": {"train": f"train[:{rows}]", "validation": "validation[:20]", "test": "test[:20]"},
        },
        "preprocess": {"max_length": 128},
        "peft": "full",
        "training": {
            "per_device_train_batch_size": BATCH_SIZE,
            "learning_rate": LEARNING_RATE,
            "eval_strategy": "no",
            "save_strategy": "no",
            "use_cpu": True,
            **training,
        },
    }


def _num_rows(job: Job) -> int:
    return job.choose(64, 10) * BATCH_SIZE
