"""Weights of a checkpoint back into a network in memory: all of them, or the run stops."""

from pathlib import Path
from typing import Any

import safetensors.torch
from transformers import PreTrainedModel, TrainerState
from transformers.trainer_utils import TrainOutput

from hf_tune.training.checkpoints import name_best
from hf_tune.training.progress import read_train_cost
from hf_tune.training.weight_average import settle_average


def load_weights(model: Any, folder: Path) -> bool:
    """Load the weights in a folder into a network; False where they are those of an adapter or of a sharded network.

    transformers 5.23 saves some networks (ViT) under other names than they have in memory, and its Trainer, which does
    not know this, goes on with the weights that were there before. Raises `RuntimeError` where a weight is missing,
    which `from_pretrained` alone would draw at random.
    """
    file = folder / "model.safetensors"
    if not file.exists() and not (folder / "model.safetensors.index.json").exists():
        return False
    if isinstance(model, PreTrainedModel):
        loaded, info = type(model).from_pretrained(folder, config=model.config, dtype="auto", output_loading_info=True)
        if info["missing_keys"]:
            raise RuntimeError(f"{folder} has missing weights: {', '.join(sorted(info['missing_keys']))}")
        weights = loaded.state_dict()
    else:
        weights = safetensors.torch.load_file(file)
    model.load_state_dict(weights)
    return True


def restore_end(trainer: Any, checkpoint: str) -> TrainOutput:
    """Return to the end of a training that was cut off while it was scored."""
    folder = Path(trainer.args.output_dir)
    trainer.state = TrainerState.load_from_json(str(Path(checkpoint, "trainer_state.json")))
    trainer._load_from_checkpoint(checkpoint)
    best = name_best(folder, trainer.state)
    if trainer.args.load_best_model_at_end and best is not None:
        trainer.state.best_model_checkpoint = best
        trainer._load_best_model()
    settle_average(trainer)
    return TrainOutput(trainer.state.global_step, float("nan"), read_train_cost(folder / "log.jsonl"))
