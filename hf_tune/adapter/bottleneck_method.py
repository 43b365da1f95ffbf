"""Bottleneck adapters as a method of PEFT: small networks between the layers of a frozen one.

Houlsby et al. 2019 (arXiv:1902.00751): after attention and feed-forward. Pfeiffer et al. 2020 (arXiv:2005.00247):
after feed-forward. He et al. 2021 (arXiv:2110.04366): beside the layer, not behind it. PEFT 0.21 has none of them, and
`register_peft_method` takes only names of its own enum; its three tables take any word. Importing this module writes
`BOTTLENECK` into them; `import hf_tune` does so as soon as `peft` is imported.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from hf_tune.adapter.block_numbers import is_in_blocks
from hf_tune.adapter.bottleneck_targets import find_bottleneck_targets


class _PeftTypeName(str):
    """A name of a method that PEFT's tables take; some of PEFT's code asks members of its enum for their `value`."""

    @property
    def value(self) -> str:
        """Return the name."""
        return str(self)


PEFT_TYPE = _PeftTypeName("BOTTLENECK")
PREFIX = "bottleneck_"


@dataclass
class BottleneckConfig(PeftConfig):
    """How bottleneck adapters are built and where they go."""

    placement: Literal["houlsby", "pfeiffer"] = field(
        default="houlsby", metadata={"help": "after attention and feed-forward, or after feed-forward only"}
    )
    reduction_factor: float = field(
        default=16.0, metadata={"help": "the layer's outputs divided by the width of the adapter"}
    )
    non_linearity: str = field(default="gelu", metadata={"help": "a name of transformers.activations.ACT2FN"})
    parallel: bool = field(
        default=False, metadata={"help": "the adapter reads the layer's input, not its output; the results are added"}
    )
    scaling: float = field(default=1.0, metadata={"help": "factor of the adapter's result"})
    dropout: float = field(default=0.0, metadata={"help": "dropout inside the adapter"})
    init_weights: bool = field(
        default=True, metadata={"help": "start as the identity; False is for tests: all weights random"}
    )
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "layers after which an adapter goes; None: by `placement`"}
    )
    exclude_modules: list[str] | str | None = field(default=None, metadata={"help": "layers that get none"})
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "layers that train whole"})
    layers_to_transform: list[int] | int | None = field(default=None, metadata={"help": "only these blocks"})
    layers_pattern: list[str] | str | None = field(default=None, metadata={"help": "name of the list of blocks"})

    def __post_init__(self) -> None:
        """Check the values; raises `ValueError`."""
        super().__post_init__()
        self.peft_type = PEFT_TYPE
        if self.placement not in ("houlsby", "pfeiffer"):
            raise ValueError(f"placement {self.placement!r} is neither houlsby nor pfeiffer")
        for name, least, most in (("reduction_factor", 0, 1e6), ("scaling", 0, 1e6), ("dropout", -1e-9, 1)):
            if not least < getattr(self, name) < most:
                raise ValueError(f"{name} {getattr(self, name)} is out of range")
        if self.non_linearity not in ACT2FN:
            raise ValueError(f"non_linearity {self.non_linearity!r} is none of {', '.join(sorted(ACT2FN))}")
        for name in ("target_modules", "exclude_modules"):
            value = getattr(self, name)
            setattr(self, name, set(value) if isinstance(value, (list, tuple)) else value)


class BottleneckAdapter(torch.nn.Module):
    """One adapter: a narrow layer down, a non-linearity, and a layer up that starts at zero."""

    def __init__(self, base: torch.nn.Module, config: BottleneckConfig) -> None:
        """Fit the sizes to a layer; raises `ValueError` for one that is no Linear, Conv1D or Conv2d."""
        super().__init__()
        inputs, outputs = _get_sizes(base)
        width = max(1, round(outputs / config.reduction_factor))
        source = inputs if config.parallel else outputs
        self.down: Any = torch.nn.Linear(source, width)
        self.up: Any = torch.nn.Linear(width, outputs)
        if isinstance(base, torch.nn.Conv2d):
            stride = base.stride[0] if config.parallel else 1
            self.down, self.up = torch.nn.Conv2d(source, width, 1, stride), torch.nn.Conv2d(width, outputs, 1)
        self.non_linearity = ACT2FN[config.non_linearity]
        self.dropout = torch.nn.Dropout(config.dropout)
        self.scaling = config.scaling
        self.parallel = config.parallel
        if config.init_weights:
            torch.nn.init.zeros_(self.up.weight)
            torch.nn.init.zeros_(self.up.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return what is added to the layer's output, in the adapter's precision."""
        hidden = self.non_linearity(self.down(hidden.to(self.down.weight.dtype)))
        return self.up(self.dropout(hidden)) * self.scaling


class BottleneckLayer(torch.nn.Module, BaseTunerLayer):
    """A layer and its adapters: `h + scaling * up(act(down(h)))`, or `h + scaling * up(act(down(x)))` in parallel."""

    adapter_layer_names = ("bottleneck_adapters",)
    get_base_layer: Any  # these four come from PEFT, which is not typed
    set_adapter: Any
    active_adapters: Any
    _move_adapter_to_device_of_base_layer: Any

    def __init__(self, base_layer: torch.nn.Module, adapter_name: str, config: BottleneckConfig) -> None:
        """Wrap a Linear, a GPT-2 Conv1D or a Conv2d; raises `ValueError` for another layer."""
        super().__init__()
        self.base_layer: Any = base_layer
        for name in ("stride", "kernel_size", "dilation"):  # MobileNet of transformers pads by them
            if hasattr(base_layer, name):
                setattr(self, name, getattr(base_layer, name))
        self.merged_adapters: list[str] = []
        self._disable_adapters = False
        self.bottleneck_adapters = torch.nn.ModuleDict()
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add an adapter that starts as the identity."""
        self.bottleneck_adapters[adapter_name] = BottleneckAdapter(self.get_base_layer(), config)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuse: there is a non-linearity in between."""
        raise NotImplementedError("a bottleneck adapter is not linear: it cannot be merged into the layer")

    def unmerge(self) -> None:
        """Refuse: nothing was ever merged."""
        raise NotImplementedError("a bottleneck adapter is never merged")

    def forward(self, inputs: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the layer's output with what the active adapters add to it, in the output's own precision."""
        output = self.base_layer(inputs, *args, **kwargs)
        if self.disable_adapters:
            return output
        for name in self.active_adapters:
            if name in self.bottleneck_adapters:
                adapter: Any = self.bottleneck_adapters[name]
                output = output + adapter(inputs if adapter.parallel else output).to(output.dtype)
        return output


class BottleneckModel(BaseTuner):
    """A network with bottleneck adapters."""

    prefix = PREFIX
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, Any] = {}  # noqa: RUF012  a class attribute that PEFT reads

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict[str, Any]) -> Any:
        if peft_config.target_modules is None:
            blocks, patterns = peft_config.layers_to_transform, peft_config.layers_pattern
            found = find_bottleneck_targets(self.model, peft_config.placement)
            peft_config.target_modules = {name for name in found if is_in_blocks(name, blocks, patterns)}
        return peft_config

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: torch.nn.Module,
        target_name: str,
        parent: torch.nn.Module,
        current_key: str,
        **kwargs: Any,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, peft_config)
            return
        layer = BottleneckLayer(target, adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        """Return a name as the file holds it; PEFT 0.21 looks for the adapter in the last place but one alone."""
        return key.replace(f".bottleneck_adapters.{adapter_name}.", ".bottleneck_adapters.")

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: Any, config: Any, adapter_name: str, state_dict: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Read files of before 2026-11-25 too, which held the adapter's name.

        transformers 5.23 inserts it a second time, and then leaves the adapter as it was initialised.
        """
        named = {re.sub(r"(\.bottleneck_adapters)\.[^.]+\.(down|up)\.", r"\1.\2.", key): key for key in state_dict}
        plain = {name: state_dict[key] for name, key in named.items()}
        return super()._remap_adapter_state_dict_for_load(model, config, adapter_name, plain)

    def _check_merge_allowed(self) -> None:
        raise NotImplementedError("bottleneck adapters are not linear: they cannot be merged; `unload()` drops them")

    def add_weighted_adapter(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: networks with a non-linearity have no weighted mean."""
        raise NotImplementedError("bottleneck adapters are not linear: their weights cannot be combined")


def _get_sizes(layer: torch.nn.Module) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a layer; raises `ValueError` for one of another kind."""
    if isinstance(layer, torch.nn.Linear):
        return layer.in_features, layer.out_features
    if isinstance(layer, Conv1D):
        return layer.nx, layer.nf
    if isinstance(layer, torch.nn.Conv2d):
        return layer.in_channels, layer.out_channels
    raise ValueError(f"{type(layer).__name__} takes no bottleneck adapter: only Linear, Conv1D and Conv2d do")


PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = BottleneckConfig
PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = BottleneckModel
PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = PREFIX
