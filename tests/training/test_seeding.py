"""Seeds of what the network draws."""

import hashlib
import random

import numpy as np
import pytest
import torch

from hf_tune.training.seeding import seed_generators


CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_generator() -> object:
    """Leave torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        yield


def draw(*place: int) -> list[float]:
    seed_generators(place, CPU)
    return torch.rand(4).tolist()


def test_a_place_gives_the_same_numbers_whatever_was_drawn_before() -> None:
    first = draw(0, 3, 1, 0)
    torch.rand(99)
    assert draw(0, 3, 1, 0) == first


def test_seed_step_micro_step_and_process_each_change_the_numbers() -> None:
    places = [(0, 3, 1, 0), (1, 3, 1, 0), (0, 4, 1, 0), (0, 3, 2, 0), (0, 3, 1, 1), (0, 1, 3, 0), (3, 0, 1, 0)]
    places += [(0, step, 0, 0) for step in range(5, 100)]
    assert len({tuple(draw(*place)) for place in places}) == len(places)


def test_the_seed_is_a_hash_of_the_place_in_63_bits() -> None:
    """Torch takes no negative seed: the lowest of the 64 bits of BLAKE2b is left out."""
    expected = int(hashlib.blake2b(b"(7, 2, 0, 1)", digest_size=8).hexdigest(), 16) // 2
    seed_generators([7, 2, 0, 1], CPU)
    assert torch.initial_seed() == expected and 0 <= expected < 2**63


def test_dropout_follows_the_place() -> None:
    layer = torch.nn.Dropout(0.5)
    masks = []
    for place in ((0, 0, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0)):
        seed_generators(place, CPU)
        masks.append(layer(torch.ones(64)))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_the_generators_of_python_and_numpy_are_left_alone() -> None:
    before = (random.getstate(), np.random.get_state()[1].tolist())
    seed_generators([0, 1], CPU)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_the_generator_of_the_device_gets_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch, "get_device_module", lambda device: type("Module", (), {"manual_seed": seeds.append}))
    seed_generators([0, 1], torch.device("cuda"))
    assert seeds == [torch.initial_seed()]
