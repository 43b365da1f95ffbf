"""What training costs on several processes: memory per device and bytes over the network, by formulas.

Nothing runs on such devices. The sizes are those of a network on the meta device, and the formulas are those of

- DDP: a ring all-reduce of gradients (Patarasuk and Yuan, 2009), which copies them into buckets of their own size;
- FSDP2, as accelerate 1.15 wraps a model: weights of a block are gathered before its forward and before its backward
  pass, and its gradients are reduced and scattered; what is in no block stays gathered from forward to backward;
- ZeRO stage 3 (Rajbhandari et al., 2020, arXiv:1910.02054): the same, and in half precision the trained weights are
  kept twice, and gradients are scattered in every micro-batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hf_tune.training.optimiser_states import count_state_bytes
from hf_tune.training.step_memory import StepMemory


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a recipe asks of every device, however many there are; sizes in bytes."""

    weights: int
    """As they are kept between steps."""
    gradients: int
    """Of the weights that train, in their precision."""
    states: int
    """What the optimiser keeps."""
    moved_weights: int
    """As a strategy that shards gathers them: in half precision under `bf16` and `fp16`."""
    moved_gradients: int
    root_weights: int
    """The part of `moved_weights` in no block: gathered once for forward and backward."""
    root_gradients: int
    block_weights: int
    """`moved_weights` of the largest block between the embedding and the head; 0 where there is none."""
    block_gradients: int
    embedding_weights: int
    """`moved_weights` of the block with the input embedding: gathered when few activations are alive."""
    embedding_gradients: int
    embedding_rows: int
    """Rows of the input embedding, which the processes share out; 0 where there is none."""
    step: StepMemory
    accumulation: int
    """Micro-batches in a step."""
    is_half: bool
    """Whether the passes compute in half precision."""
    is_quantised: bool = False
    """Whether the base is packed into bits, which ZeRO stage 3 cannot shard."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one strategy costs every device; sizes in bytes."""

    strategy: str
    weights: int
    """Kept between steps."""
    states: int
    passes: int
    """Activations, gradients and weights gathered from other devices, at the moment when most of them is alive."""
    network: int
    """What a device sends in a step of the optimiser; it receives as much."""

    @property
    def memory(self) -> int:
        """Return all that a device holds, beside what its libraries take for themselves."""
        return self.weights + self.states + self.passes


def measure_workload(model: Any, step: StepMemory | None, training: Mapping[str, Any], saved: int = 0) -> Workload:
    """Return the sizes of a model on the meta device under a recipe's `training:` block.

    Without a step, activations are 0. `saved` are the bytes that a quantised base will do without.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    is_half = bool(training.get("bf16") or training.get("fp16"))
    gradients = sum(weight.numel() * weight.element_size() for weight in trained)
    moved, kept = _measure_groups(model, is_half), 1 - saved / weights
    if step is None:
        step = StepMemory(with_gradients=gradients, activations=0, uncast_activations=0)
    return Workload(
        weights=weights - saved,
        gradients=gradients,
        states=count_state_bytes(training.get("optim", "adamw_torch_fused"), training.get("optim_args"), trained),
        moved_weights=round(sum(group.weights for group in moved) * kept),
        moved_gradients=sum(group.gradients for group in moved),
        root_weights=round(_find_most(moved, "root", "weights") * kept),
        root_gradients=_find_most(moved, "root", "gradients"),
        block_weights=round(_find_most(moved, "block", "weights") * kept),
        block_gradients=_find_most(moved, "block", "gradients"),
        embedding_weights=round(_find_most(moved, "embedding", "weights") * kept),
        embedding_gradients=_find_most(moved, "embedding", "gradients"),
        embedding_rows=_count_rows(model),
        step=step,
        accumulation=training.get("gradient_accumulation_steps", 1),
        is_half=is_half,
        is_quantised=saved > 0,
    )


def estimate_costs(workload: Workload, processes: int) -> list[Cost]:
    """Return the cost of every strategy: of one process alone, or of DDP, FSDP2 and ZeRO stage 3."""
    if processes == 1:
        return [_cost_replicated("one process", workload, processes)]
    costs = [_cost_replicated("ddp", workload, processes), _cost_fsdp2(workload, processes)]
    return costs if workload.is_quantised else [*costs, _cost_zero3(workload, processes)]


def _cost_replicated(strategy: str, workload: Workload, processes: int) -> Cost:
    step, gradients = workload.step, workload.gradients
    passes = step.with_gradients if workload.accumulation == 1 else step.activations + gradients
    buckets = gradients if processes > 1 else 0
    return Cost(
        strategy=strategy,
        weights=workload.weights,
        states=workload.states,
        passes=passes + buckets,
        network=2 * gradients * (processes - 1) // processes,
    )


def _cost_fsdp2(workload: Workload, processes: int) -> Cost:
    """Cost FSDP2; between the micro-batches of a step the gradients are whole on every device (accelerate 1.15)."""
    gathers = workload.accumulation * (2 * workload.moved_weights - workload.root_weights)
    whole = 0 if workload.accumulation == 1 else workload.moved_gradients
    return Cost(
        strategy="fsdp2",
        weights=workload.weights // processes,
        states=workload.states // processes,
        passes=_count_sharded_passes(workload, processes, whole),
        network=(gathers + workload.moved_gradients) * (processes - 1) // processes,
    )


def _cost_zero3(workload: Workload, processes: int) -> Cost:
    weights = workload.moved_weights + (workload.gradients if workload.is_half else 0)
    moved = workload.accumulation * (2 * workload.moved_weights + workload.moved_gradients)
    return Cost(
        strategy="deepspeed_zero3",
        weights=weights // processes,
        states=workload.states // processes,
        passes=_count_sharded_passes(workload, processes, 0),
        network=moved * (processes - 1) // processes,
    )


def _count_sharded_passes(workload: Workload, processes: int, whole_gradients: int) -> int:
    """Return the larger of two moments: most activations are alive, or the backward pass ends at the embedding.

    `whole_gradients` are there from the micro-batch before. Two blocks are gathered at a time, the one at work and the
    next. What is gathered or scattered is copied in and out of one buffer, once more to fill it up where the rows do
    not divide by the processes (seen in torch 2.15). A network without blocks is gathered as a whole.
    """
    step, share = workload.step, workload.gradients // processes
    late = (step.with_gradients - step.activations) // (processes if workload.block_weights else 1)
    there = whole_gradients or (late if workload.accumulation == 1 else share)
    gathered = workload.root_weights + 2 * (workload.block_weights + workload.block_gradients)
    copies = 2 if workload.embedding_rows % processes == 0 else 3
    end = max(2 * workload.embedding_weights, copies * workload.embedding_gradients, 2 * workload.root_gradients)
    end += workload.root_weights + share + max(whole_gradients - workload.embedding_gradients, 0)
    return max(step.uncast_activations + gathered + there, end)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Weights that are gathered together; bytes as they are moved."""

    kind: str
    """`root`, `block` or `embedding`."""
    weights: int
    gradients: int


def _measure_groups(model: Any, is_half: bool) -> list[_Group]:
    """Return the groups that accelerate makes: classes in `_no_split_modules`, the input embedding, and the rest."""
    classes = set(getattr(model, "_no_split_modules", None) or ())
    embedding = _find_embedding(model)
    wrapped = [name for name, layer in model.named_modules() if name and type(layer).__name__ in classes]
    wrapped += [embedding] if embedding else []
    weights, gradients = dict.fromkeys(("", *wrapped), 0), dict.fromkeys(("", *wrapped), 0)
    for name, weight in model.named_parameters():
        owner = max((block for block in wrapped if name.startswith(f"{block}.")), key=len, default="")
        size = weight.numel() * (min(weight.element_size(), 2) if is_half else weight.element_size())
        weights[owner] += size
        gradients[owner] += size if weight.requires_grad else 0
    kinds = {name: "embedding" if f"{embedding}.".startswith(f"{name}.") else "block" for name in wrapped}
    return [_Group(kind=kinds.get(name, "root"), weights=weights[name], gradients=gradients[name]) for name in weights]


def _find_embedding(model: Any) -> str:
    """Return the name of the input embedding; empty where a network has none."""
    try:
        embedding = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):  # what networks for pictures raise
        return ""
    return next((name for name, layer in model.named_modules() if layer is embedding), "")


def _count_rows(model: Any) -> int:
    weight = getattr(model.get_submodule(_find_embedding(model)), "weight", None)
    return 0 if weight is None else int(weight.shape[0])


def _find_most(groups: Sequence[_Group], kind: str, size: Literal["weights", "gradients"]) -> int:
    return max((getattr(group, size) for group in groups if group.kind == kind), default=0)
