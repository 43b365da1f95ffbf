"""Networks that transformers builds from no config: a head with hidden layers, and pictures seen in tiles.

Both are subclasses of transformers' own class, chosen by two attributes of its config (`mlp_head`, `tiles`), so that
everything else loads, saves and adapts them as usual. Plain libraries do not know the attributes.
"""

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from hf_tune.input_error import InputError
from hf_tune.model.new_layers import HiddenLayers, find_head


@dataclass(frozen=True, kw_only=True)
class HiddenHead:
    """A head of several layers: each hidden one is linear, GELU, dropout."""

    hidden: list[int]
    """Widths of the hidden layers, the one beside the network first."""
    dropout: float = 0.0
    """Part of the numbers that each hidden layer loses in training."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.hidden or min(self.hidden) < 1:
            hint = "give widths, as [256]; or write `head: linear`"
            raise InputError(f"{self.hidden!r} are no hidden layers", hint, at=("hidden",))
        if not 0 <= self.dropout < 1:
            raise InputError(f"{self.dropout!r} is out of range", "give 0 to less than 1", at=("dropout",))


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """How pictures of `image_size` are cut up for a network that sees smaller ones."""

    size: int | None = None
    """Side of a tile in pixels; None: that of the pictures which the checkpoint knows."""
    overlap: float = 0.0
    """Part of its side that a tile shares with the next one, at least."""
    reduce: Literal["mean", "max"] = field(default="mean")
    """How the logits of the tiles become those of the picture: mean, or for each class that of its strongest tile."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.size is not None and not 8 <= self.size <= 4096:
            raise InputError(f"{self.size!r} is out of range", "give 8 to 4096 pixels", at=("size",))
        if not 0 <= self.overlap <= 0.9:
            raise InputError(f"{self.overlap!r} is out of range", "give 0 to 0.9", at=("overlap",))


@dataclass(frozen=True, kw_only=True)
class OwnParts:
    """What of a network is ours, as its config holds it."""

    mlp_head: Mapping[str, Any] | None = None
    """Fields of `HiddenHead`; None: the architecture's own linear head."""
    tiles: Mapping[str, Any] | None = None
    """Fields of `Tiles`, its size known; None: the network sees whole pictures."""


def read_own_parts(config: Any) -> OwnParts:
    """Return what of a network is ours, from its config or the contents of config.json."""
    read = config.get if isinstance(config, Mapping) else functools.partial(getattr, config)
    return OwnParts(mlp_head=read("mlp_head", None), tiles=read("tiles", None))


def set_head(config: Any, head: HiddenHead | str | None, stored: OwnParts) -> None:
    """Write into a config which head its network has: the one asked for, else that of the checkpoint."""
    chosen = stored.mlp_head if head is None else asdict(head) if isinstance(head, HiddenHead) else None
    if chosen is not None:
        config.mlp_head = chosen
    elif hasattr(config, "mlp_head"):
        del config.mlp_head


def set_tiles(config: Any, tiles: Tiles | None, stored: OwnParts, side: int, own_size: int | None) -> None:
    """Write into a config how its network sees pictures of `side` pixels; raises where tiles do not fit them."""
    chosen = stored.tiles if tiles is None else asdict(tiles) | {"size": tiles.size or own_size}
    if chosen is None:
        return
    size = chosen["size"]
    if size is None:
        problem = "the checkpoint does not say which size of pictures it knows"
        raise InputError(problem, "give the side of a tile in pixels", at=("preprocess", "tiles", "size"))
    if size >= side:
        problem = f"pictures of {side} pixels are cut into no tiles of {size}"
        hint = f"give the size that pictures are seen at, larger than a tile: `preprocess.image_size: {4 * size}`"
        raise InputError(problem, hint, at=("preprocess", "tiles"))
    config.tiles = chosen


def choose_class(auto_class: Any, config: Any) -> Any:
    """Return what builds (`from_config`) and loads (`from_pretrained`) the network of a config.

    That is the auto class, or a subclass of the class that it stands for, where something of the network is ours.
    """
    parts = read_own_parts(config)
    bases = [base for base, wanted in ((_InTiles, parts.tiles), (_WithHead, parts.mlp_head)) if wanted]
    if not bases:
        return auto_class
    known = auto_class._model_mapping[type(config)]  # several, where there is one with a teacher (DeiT)
    return _derive(known[0] if isinstance(known, tuple) else known, tuple(bases))


def cut_tiles(pictures: torch.Tensor, size: int, overlap: float) -> torch.Tensor:
    """Return the tiles of pictures (rows, channels, height, width): (rows x tiles, channels, size, size).

    Those of one row come one after the other, line by line; they cover the picture evenly, with as few tiles as
    overlap by that part of their side.
    """
    starts = [_spread(side, size, overlap) for side in pictures.shape[2:]]
    tiles = [pictures[:, :, top : top + size, left : left + size] for top, left in itertools.product(*starts)]
    return torch.stack(tiles, dim=1).flatten(0, 1)


def count_tiles(config: Any, side: int) -> int:
    """Return how many tiles a picture of `side` pixels is cut into; 1 where the network sees it whole."""
    tiles = read_own_parts(config).tiles
    return len(_spread(side, tiles["size"], tiles["overlap"])) ** 2 if tiles else 1


def get_network_side(config: Any, side: int) -> int:
    """Return the side in pixels of what a network sees of pictures of `side` pixels: theirs, or that of a tile."""
    tiles = read_own_parts(config).tiles
    return tiles["size"] if tiles else side


def describe_own_parts(parts: OwnParts) -> str:
    """Return what a network does that plain libraries do not build; nothing where they build all."""
    head = "has a head with hidden layers" if parts.mlp_head else ""
    tiles = "sees pictures in tiles" if parts.tiles else ""
    return " and ".join(each for each in (head, tiles) if each)


def _spread(side: int, size: int, overlap: float) -> list[int]:
    """Return where tiles start along one side."""
    steps = math.ceil((side - size) / (size * (1 - overlap)) - 1e-9)
    return [round(number * (side - size) / max(steps, 1)) for number in range(steps + 1)]


class _WithHead:
    """Mixed into a class of transformers: `config.mlp_head` in place of its linear head."""

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]
        network: Any = self
        name = find_head(network, config.num_labels)
        plain = network.get_submodule(name)
        if not isinstance(plain, torch.nn.Linear):
            problem = f"the head of this network is no linear layer but a {type(plain).__name__}"
            raise InputError(problem, "leave it out", at=("head",))
        network.set_submodule(name, _build_head(plain, **config.mlp_head))


class _InTiles:
    """Mixed into a class of transformers: pictures are cut by `config.tiles`, and their tiles' logits reduced."""

    def forward(self, pixel_values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        tiles = self.config.tiles  # type: ignore[attr-defined]
        cut = cut_tiles(pixel_values, tiles["size"], tiles["overlap"])
        output = super().forward(cut, *args, **kwargs)  # type: ignore[misc]
        logits = output.logits.unflatten(0, (len(pixel_values), -1))  # (rows, tiles, labels)
        output.logits = logits.amax(dim=1) if tiles["reduce"] == "max" else logits.mean(dim=1)
        return output


@functools.cache
def _derive(plain: type, bases: tuple[type, ...]) -> Any:
    """Return a subclass that passes for the class itself: config.json keeps its name."""
    members = {
        "__module__": plain.__module__,
        "__doc__": plain.__doc__,
        "from_config": classmethod(lambda cls, config, **kwargs: cls._from_config(config, **kwargs)),
    }
    return type(plain.__name__, (*bases, plain), members)


def _build_head(plain: Any, hidden: list[int], dropout: float) -> HiddenLayers:
    """Return the layers between the features that a linear head reads and the labels."""
    widths = [plain.in_features, *hidden]
    layers: list[torch.nn.Module] = []
    for width, following in itertools.pairwise(widths):
        layers += [torch.nn.Linear(width, following), torch.nn.GELU(), torch.nn.Dropout(dropout)]
    last = torch.nn.Linear(widths[-1], plain.out_features, bias=plain.bias is not None)
    return HiddenLayers(*layers, last)
