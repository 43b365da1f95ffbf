"""What training costs on several processes: numbers by hand, and the bytes that FSDP2 itself moves."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
import transformers
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from hf_tune.training.cost_model import Workload, estimate_costs, measure_workload
from hf_tune.training.step_memory import StepMemory


STEP = StepMemory(with_gradients=7000, activations=6000, uncast_activations=5000)
WORKLOAD = Workload(
    weights=4000,
    gradients=1200,
    states=2400,
    moved_weights=4000,
    moved_gradients=1200,
    root_weights=400,
    root_gradients=100,
    block_weights=1000,
    block_gradients=300,
    embedding_weights=600,
    embedding_gradients=600,
    embedding_rows=8,
    step=STEP,
    accumulation=1,
    is_half=False,
)


def build_linear() -> Any:
    """Return two layers on the meta device: 200 frozen weights and 100 that train."""
    with torch.device("meta"):
        model = torch.nn.Sequential(torch.nn.Linear(10, 20, bias=False), torch.nn.Linear(20, 5, bias=False))
    model[0].requires_grad_(False)
    return model


def test_weights_gradients_and_adams_states_are_counted() -> None:
    workload = measure_workload(build_linear(), STEP, {})
    assert (workload.weights, workload.gradients, workload.states) == (300 * 4, 100 * 4, 100 * 8)
    assert (workload.root_weights, workload.root_gradients) == (1200, 400)  # no block: gathered as a whole
    assert workload.block_weights == workload.embedding_weights == 0
    (cost,) = estimate_costs(workload, 1)
    assert (cost.memory, cost.network) == (1200 + 800 + 7000, 0)


def test_the_optimiser_and_half_precision_change_what_is_counted() -> None:
    workload = measure_workload(build_linear(), STEP, {"optim": "sgd", "bf16": True})
    assert (workload.weights, workload.gradients, workload.states) == (1200, 400, 0)
    assert (workload.moved_weights, workload.moved_gradients) == (600, 200)


def test_a_quantised_base_is_smaller_and_not_for_zero3() -> None:
    workload = measure_workload(build_linear(), STEP, {}, saved=300)
    assert workload.weights == 900
    assert [cost.strategy for cost in estimate_costs(workload, 2)] == ["ddp", "fsdp2"]


def test_without_a_step_the_rest_is_counted() -> None:
    (cost,) = estimate_costs(measure_workload(build_linear(), None, {}), 1)
    assert cost.memory == 1200 + 400 + 800


def test_ddp_keeps_everything_and_sends_gradients_around_a_ring_once() -> None:
    ddp = estimate_costs(WORKLOAD, 4)[0]
    assert ddp.strategy == "ddp"
    assert (ddp.weights, ddp.states, ddp.passes) == (4000, 2400, 7000 + 1200)  # with the buckets of the all-reduce
    assert ddp.network == 2 * 3 / 4 * 1200
    accumulating = estimate_costs(dataclasses.replace(WORKLOAD, accumulation=3), 4)[0]
    assert accumulating.network == ddp.network
    assert accumulating.passes == 6000 + 1200 + 1200  # gradients of the micro-batch before are there


def test_fsdp2_shares_what_is_kept_and_gathers_blocks() -> None:
    fsdp2 = estimate_costs(WORKLOAD, 4)[1]
    assert fsdp2.strategy == "fsdp2"
    assert (fsdp2.weights, fsdp2.states) == (1000, 600)
    # Activations, a fourth of the gradients that are there, what is in no block, and two blocks with gradients.
    assert fsdp2.passes == 5000 + 1000 / 4 + 400 + 2 * (1000 + 300)
    assert fsdp2.network == 3 / 4 * (2 * 4000 - 400 + 1200)
    accumulating = estimate_costs(dataclasses.replace(WORKLOAD, accumulation=3), 4)[1]
    assert accumulating.passes == 5000 + 1200 + 400 + 2 * (1000 + 300)  # gradients stay whole until the last
    assert accumulating.network == 3 / 4 * (3 * (2 * 4000 - 400) + 1200)


def test_a_large_embedding_is_what_the_end_of_a_step_needs() -> None:
    wide = dataclasses.replace(WORKLOAD, embedding_weights=9000, embedding_gradients=9000)
    assert estimate_costs(wide, 4)[1].passes == 400 + 2 * 9000 + 1200 / 4
    assert estimate_costs(wide, 3)[1].passes == 400 + 3 * 9000 + 1200 / 3  # 8 rows do not divide by 3: a copy more


def test_zero3_scatters_gradients_in_every_micro_batch() -> None:
    zero3 = estimate_costs(dataclasses.replace(WORKLOAD, accumulation=3), 4)[2]
    assert zero3.strategy == "deepspeed_zero3"
    assert zero3.network == 3 / 4 * 3 * (2 * 4000 + 1200)
    assert zero3.passes == 5000 + 1200 / 4 + 400 + 2 * (1000 + 300)
    half = dataclasses.replace(WORKLOAD, is_half=True, moved_weights=2000, moved_gradients=600)
    assert estimate_costs(half, 4)[2].weights == (2000 + 1200) / 4  # trained weights in float32 beside


class Collectives(TorchDispatchMode):
    """Add up the bytes of what every collective call gathers or scatters, by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func).startswith("c10d."):
            tensors = [each for each in tree_iter(args) if isinstance(each, torch.Tensor)]
            self.bytes[str(func)] += max(each.numel() * each.element_size() for each in tensors)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def four_processes() -> Iterator[Any]:
    """Yield the device mesh of four processes, of which this is the first and the others do not exist."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    yield init_device_mesh("cpu", (4,))
    dist.destroy_process_group()


def test_fsdp2_itself_moves_the_bytes_of_the_formula(
    four_processes: Any, tiny_text_checkpoints: dict[str, str]
) -> None:
    """FSDP2 pads each group to a multiple of the processes, which is half a percent of a network so small."""
    config = transformers.AutoConfig.from_pretrained(tiny_text_checkpoints["bert"], num_labels=3)
    model = transformers.BertForSequenceClassification(config).train()
    estimated = [
        estimate_costs(measure_workload(model, STEP, {"gradient_accumulation_steps": count}), 4)[1].network
        for count in (1, 2)
    ]
    for block in (*model.bert.encoder.layer, model.bert.embeddings.word_embeddings, model.bert.embeddings):
        fully_shard(block, mesh=four_processes, reshard_after_forward=True)
    fully_shard(model, mesh=four_processes)
    batch = {"input_ids": torch.ones(2, 8, dtype=torch.long)}
    for last in (0, 1):  # one micro-batch, then two
        with Collectives() as collectives:
            for number in range(last + 1):
                model.set_requires_gradient_sync(number == last)
                model(**batch).logits.sum().backward()
        sent = sum(collectives.bytes.values()) * 3 / 4
        assert set(collectives.bytes) == {"c10d._allgather_base_.default", "c10d._reduce_scatter_base_.default"}
        assert sent == pytest.approx(estimated[last], rel=0.01)
