"""What frozen layers make of every row, computed once: later epochs, and later runs, train on the vectors alone.

`feature_plan` says where that gives what training without it gives.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from hf_tune import array_files
from hf_tune.training.batch_sampler import EvaluationSampler, build_loader, share_rows
from hf_tune.training.feature_plan import FeaturePlan
from hf_tune.training.feature_rows import FeatureRows
from hf_tune.training.processes import add_up, gather_parts, wait_for_all


logger = logging.getLogger(__name__)


@contextlib.contextmanager
def kept_features(trainer: Any, plan: FeaturePlan) -> Iterator[None]:
    """Let a Trainer train and evaluate on features while the context lasts; the splits are its own again after it."""
    body = plan.body
    kept = None if body is None else _keep_splits(trainer, plan)
    if body is None or kept is None:
        yield
        return
    splits = trainer.train_dataset, trainer.eval_dataset
    trainer.train_dataset, trainer.eval_dataset = kept
    try:
        with body.replaced():
            yield
    finally:
        trainer.train_dataset, trainer.eval_dataset = splits


def _keep_splits(trainer: Any, plan: FeaturePlan) -> list[FeatureRows] | None:
    """Return the training and validation rows as features; None where their files cannot be written."""
    kept, weights = [], _hash_weights(plan)
    for rows, each in ((trainer.data.train, plan), (trainer.data.validation, replace(plan, num_views=0))):
        vectors = _compute_once(trainer, each, rows, _name_features(trainer, each, rows, weights))
        if vectors is None:
            return None
        kept.append(FeatureRows(rows, vectors))
    return kept


def _compute_once(trainer: Any, plan: FeaturePlan, rows: Any, name: str) -> np.ndarray | None:
    """Return the vectors of a split, float32, shape (views, rows, features); None where there is no room for them.

    They come from their file, or are computed by the processes of each machine together.
    """
    group, args = trainer.cpu_group, trainer.args
    vectors = array_files.open_array(name)
    if add_up([vectors is None], group)[0] == 0:
        return vectors
    is_leader, part, failure = args.local_process_index == 0, "", ""
    if is_leader:
        try:
            shape = (max(plan.num_views, 1), len(rows), plan.size)
            part = str(array_files.reserve_array(f"{name}-{socket.gethostname()}-{os.getpid()}", shape, np.float32))
        except OSError as error:
            failure = str(error)
    told = gather_parts((part, failure), group)
    failure = next((each for _, each in told if each), "")
    if failure:
        logger.warning("features are not kept, and every epoch passes the frozen layers: %s", failure)
        return None
    part = told[args.process_index - args.local_process_index][0]
    with array_files.write_part(Path(part)) as array:
        for view in range(len(array)):
            _fill(trainer, plan, rows, view, array[view])
    wait_for_all(group)
    if is_leader:
        array_files.seal_array(Path(part), name)
    wait_for_all(group)
    return array_files.open_array(name)


@torch.inference_mode()
def _fill(trainer: Any, plan: FeaturePlan, rows: Any, view: int, array: np.ndarray) -> None:
    """Write this process's part of the vectors of one view of a split."""
    assert plan.body is not None
    args, task, data, model = trainer.args, trainer.task, trainer.data, trainer.model.eval()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", args.world_size))
    share = replace(share_rows(args), processes=local, rank=args.local_process_index, batch_size=args.eval_batch_size)
    sampler = EvaluationSampler(len(rows), share, getattr(rows, "lengths", None))
    with plan.body.reading() as read:
        for loaded in build_loader(rows, sampler, trainer.data_collator, args):
            batch, numbers = trainer._prepare_inputs(loaded), loaded["row"].numpy()
            if plan.num_views:
                batch = task.augment(batch, data.preprocess, data.make_draws(args.seed, view, numbers))
            with trainer.accelerator.autocast():
                model(**task.build_inputs(batch, trainer.encoder, model))
            array[numbers] = read(batch).cpu().numpy()


def _hash_weights(plan: FeaturePlan) -> str:
    """Return a hash of the names and values of the weights below the head."""
    assert plan.body is not None
    digest = xxhash.xxh3_128()
    for name, value in plan.body.list_weights():
        digest.update(name.encode() + value.detach().contiguous().flatten().view(torch.uint8).cpu().numpy().tobytes())
    return digest.hexdigest()


def _name_features(trainer: Any, plan: FeaturePlan, rows: Any, weights: str) -> str:
    """Return a name that changes with the rows, the weights below the head, and how and where they are computed."""
    assert plan.body is not None
    args = trainer.args
    views = (plan.num_views, args.seed, repr(trainer.data.preprocess)) if plan.num_views else None
    precision = (trainer.accelerator.mixed_precision, str(next(trainer.model.parameters()).dtype))
    chip = torch.cuda.get_device_name() if args.device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    machine = (torch.__version__, args.device.type, chip, torch.get_num_threads())
    where = (plan.body.read.__name__, views, precision, args.eval_batch_size, machine)
    return f"features-{xxhash.xxh3_128_hexdigest(repr((weights, rows.fingerprint, *where)).encode())}"
