"""Seeds of what the network draws (dropout, noise): from where a micro-batch stands, and from nothing before it."""

from collections.abc import Sequence

import numpy as np
import torch


def seed_generators(place: Sequence[int], device: torch.device) -> None:
    """Seed torch's generators of the CPU and of the device by whole numbers such as (seed, step, micro-step, rank)."""
    seed = int(np.random.SeedSequence(list(place)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    torch.default_generator.manual_seed(seed)  # torch.manual_seed costs 0.1 ms, this 1 µs
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
