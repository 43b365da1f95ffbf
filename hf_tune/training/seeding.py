"""Seeds of what the network draws (dropout, noise): from where a micro-batch stands, and from nothing before it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch


def seed_micro_step(trainer: Any) -> None:
    """Make what is drawn (dropout, noise) depend on (seed, step, micro-step, process) and on nothing before."""
    step, number = trainer.micro_step
    number = number + 1 if step == trainer.state.global_step else 0
    trainer.micro_step = (trainer.state.global_step, number)
    arguments = trainer.args
    seed_generators([arguments.seed, *trainer.micro_step, arguments.process_index], arguments.device)


def seed_generators(place: Sequence[int], device: torch.device) -> None:
    """Seed torch's generators of the CPU and of the device by whole numbers such as (seed, step, micro-step, rank)."""
    digest = hashlib.blake2b(
        repr(tuple(place)).encode(), digest_size=8
    ).digest()  # 2 µs; numpy's SeedSequence takes 40
    seed = int.from_bytes(digest, "big") >> 1
    torch.default_generator.manual_seed(seed)  # torch.manual_seed costs 0.1 ms, this 1 µs
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
