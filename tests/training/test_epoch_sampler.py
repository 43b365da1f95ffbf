"""The order of the training rows."""

from hf_tune.training.epoch_sampler import EpochSampler


def test_every_epoch_is_another_permutation_and_carries_its_number() -> None:
    sampler = EpochSampler(10, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == list(range(10)) and sorted(second) == list(range(10, 20))
    assert [index - 10 for index in second] != first
    again = EpochSampler(10, seed=3)
    again.set_epoch(1)
    assert list(again) == second and list(EpochSampler(10, seed=4)) != first
