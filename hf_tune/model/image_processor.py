"""One object for every picture that meets the model: training, evaluation, `predict` and what is saved."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch

from hf_tune.input_error import InputError
from hf_tune.model.own_network import Tiles


_RESAMPLE = MappingProxyType({"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3})


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """How pictures become inputs; None means as the checkpoint was trained."""

    image_size: int | None = None
    """Height and width of the model's input in pixels."""
    crop_mode: Literal["center", "squash"] | None = None
    """center: shorter side to image_size / crop_pct, then cut the middle; squash: both sides to image_size."""
    crop_pct: float | None = None
    """Part of the resized picture that the centre crop keeps."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    mean: list[float] | None = None
    """Per channel, for pixels from 0 to 1."""
    std: list[float] | None = None
    intensity: Literal["file", "dtype"] | list[float] | None = None
    """How more than 8 bits a pixel become 256 grey levels: file: from each picture's own smallest to its largest
    value; dtype: over the whole range of its number type; [low, high]: from these two values, beyond them clipped."""
    tiles: Tiles | None = None
    """For pictures much larger than those that the network knows: it sees tiles of them, as large as these."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.image_size is not None and not 8 <= self.image_size <= 4096:
            raise InputError(f"{self.image_size!r} is out of range", "give 8 to 4096 pixels", at=("image_size",))
        if self.crop_pct is not None and not 0 < self.crop_pct <= 1:
            raise InputError(f"{self.crop_pct!r} is out of range", "give above 0 and at most 1", at=("crop_pct",))
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and (len(values) != 3 or (name == "std" and min(values) <= 0)):
                raise InputError(
                    f"{values!r} is not one {name} for each of 3 channels", "as [0.5, 0.5, 0.5]", at=(name,)
                )
        values = self.intensity
        if isinstance(values, list) and (len(values) != 2 or not -math.inf < values[0] < values[1] < math.inf):
            problem = f"{values!r} is no range"
            raise InputError(problem, "give the values of black and of white, as [0, 4095]", at=("intensity",))


class PictureProcessor:
    """A transformers image processor taken apart: geometry per picture, normalisation per batch."""

    def __init__(self, plain: Any, intensity: Any = None) -> None:
        """Take apart `plain`; raises `InputError` for a processor that does more than these two steps."""
        self.intensity = intensity
        """How a picture is read before it comes here, as `PictureOptions` says."""
        self.plain = plain
        """The processor itself, as transformers saves and loads it."""
        if hasattr(plain, "val_transforms"):
            self.geometry, self.mean, self.std = _take_apart_timm(plain)
        else:
            self.geometry, self.mean, self.std = _take_apart_transformers(plain)
        self._check()

    def encode(self, picture: PIL.Image.Image) -> torch.Tensor:
        """Return an RGB picture resized and cropped: uint8, shape (3, height, width)."""
        return self.geometry(picture)

    def normalise(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return uint8 pictures (batch, 3, height, width) as the model's float32 inputs."""
        mean, std = self.mean.to(pictures.device), self.std.to(pictures.device)
        return pictures.float().div_(255).sub_(mean).div_(std)

    def fingerprint(self) -> str:
        """Return a hash of everything that pixels depend on beside the versions of the libraries: the settings."""
        settings = json.dumps(self.plain.to_dict(), sort_keys=True, default=str)
        text = f"{type(self.plain).__qualname__}{settings}{getattr(self.plain, 'val_transforms', '')}{self.intensity}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _check(self) -> None:
        """Raise where the two steps do not give what the processor itself gives."""
        noise = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(noise)
        whole = self.plain(picture, return_tensors="pt")["pixel_values"]
        parts = self.normalise(self.encode(picture)[None])
        if whole.shape != parts.shape or not torch.allclose(whole, parts, atol=1e-5):
            name = type(self.plain).__name__
            raise InputError(
                f"{name} does more than resize, crop and normalise", "choose another checkpoint of this architecture"
            )


def configure_transformers_processor(plain: Any, options: PictureOptions) -> Any:
    """Return a transformers image processor with the options put into its own settings."""
    if options.image_size or options.crop_mode or options.crop_pct:
        _set_geometry(plain, options)
    if options.interpolation:
        plain.resample = _RESAMPLE[options.interpolation]
    if options.mean:
        plain.image_mean = list(options.mean)
    if options.std:
        plain.image_std = list(options.std)
    return plain


def get_side(plain: Any) -> int | None:
    """Return the side in pixels of the pictures that a transformers image processor makes."""
    size, crop = plain.size or {}, getattr(plain, "crop_size", None) or {}
    cropped = crop.get("height") if getattr(plain, "do_center_crop", False) else None
    return cropped or size.get("height") or size.get("shortest_edge")


def configure_timm_settings(settings: dict[str, Any], options: PictureOptions) -> dict[str, Any]:
    """Return timm's `pretrained_cfg` with the options put into its own keys."""
    changed = dict(settings)
    if options.image_size:
        changed["input_size"] = [3, options.image_size, options.image_size]
    for name in ("crop_mode", "crop_pct", "interpolation", "mean", "std"):
        if getattr(options, name) is not None:
            changed[name] = getattr(options, name)
    if options.crop_mode == "squash" and options.crop_pct is None:
        changed["crop_pct"] = 1.0  # timm resizes to image_size / crop_pct even where nothing is cropped
    return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}


def _set_geometry(plain: Any, options: PictureOptions) -> None:
    if hasattr(plain, "crop_pct"):  # the ConvNeXT family, ResNets of the Hub among them: shorter side and centre only
        if options.crop_mode == "squash":
            hint = "choose `crop_mode: center`; `crop_pct: 1.0` cuts least"
            problem = f"{type(plain).__name__} always keeps the aspect ratio"
            raise InputError(problem, hint, at=("preprocess", "crop_mode"))
        plain.size = {"shortest_edge": options.image_size or plain.size["shortest_edge"]}
        plain.crop_pct = options.crop_pct or plain.crop_pct
        return
    old_size, old_crop = dict(plain.size or {}), dict(getattr(plain, "crop_size", None) or {})
    resized = old_size.get("shortest_edge") or old_size.get("height")
    cropped = old_crop.get("height") if getattr(plain, "do_center_crop", False) else resized
    size = options.image_size or cropped or 224
    if options.crop_mode == "squash" or (options.crop_mode is None and "shortest_edge" not in old_size):
        plain.size, plain.do_center_crop = {"height": size, "width": size}, False
        return
    fraction = options.crop_pct or (cropped / resized if cropped and resized else 1.0)
    plain.size, plain.do_center_crop = {"shortest_edge": round(size / fraction)}, True
    plain.crop_size = {"height": size, "width": size}


def _take_apart_transformers(plain: Any) -> tuple[Callable[[Any], torch.Tensor], torch.Tensor, torch.Tensor]:
    def geometry(picture: PIL.Image.Image) -> torch.Tensor:
        pixels = plain(picture, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"][0]
        return pixels if pixels.dtype == torch.uint8 else pixels.round().clamp(0, 255).to(torch.uint8)

    normalises = getattr(plain, "do_normalize", False)
    mean = plain.image_mean if normalises else [0.0, 0.0, 0.0]
    std = plain.image_std if normalises else [1.0, 1.0, 1.0]
    return geometry, _per_channel(mean), _per_channel(std)


def _take_apart_timm(plain: Any) -> tuple[Callable[[Any], torch.Tensor], torch.Tensor, torch.Tensor]:
    from torchvision.transforms.functional import pil_to_tensor

    steps = plain.val_transforms.transforms
    end = next(index for index, step in enumerate(steps) if "ToTensor" in type(step).__name__)

    def geometry(picture: PIL.Image.Image) -> torch.Tensor:
        for step in steps[:end]:
            picture = step(picture)
        return pil_to_tensor(picture)

    return geometry, _per_channel(plain.data_config["mean"]), _per_channel(plain.data_config["std"])


def _per_channel(values: Any) -> torch.Tensor:
    return torch.tensor([float(each) for each in values])[:, None, None]
