"""Decode a picture to RGB, the same way for training, evaluation and `predict`."""

import contextlib
import io
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from hf_tune.data.dicom_pictures import ENDINGS, NO_LETTERS, is_dicom, read_dicom
from hf_tune.data.intensity import AT, Intensity, Wide, scale
from hf_tune.data.picture_kinds import DAMAGED, describe_content
from hf_tune.input_error import InputError


_LOADING = threading.Lock()
"""A caller's own picture may be asked for in two threads at once, and PIL (13.0) reads its file as it is loaded."""
_BITS, _PHOTOMETRIC, _NUMBER_TYPE = 258, 262, 339
"""Tags of TIFF."""
_WIDE_COLOURS = re.compile(r"\b(LA|RGB\w*|CMYK\w*);16[BLN]")
"""PIL's words for 16 bits a colour; `BGR;16` of BMP is 16 bits for all three."""


def read_image(source: Any, intensity: Intensity = None) -> PIL.Image.Image:
    """Return an upright RGB picture from a path, encoded bytes, a PIL picture or what `datasets` stores of one.

    Pictures of 8 bits are taken as they are, of several frames or pages the first one, and what is transparent lies on
    white. Those of more bits are scaled by `intensity`: PIL's own conversion (13.0) clips them, so that nearly every
    pixel of an x-ray becomes white. Raises `InputError`, with the file, for what cannot be decoded, and for more than
    8 bits without `intensity`.
    """
    try:
        if isinstance(source, PIL.Image.Image):
            return _convert(source, intensity, _LOADING)
        content = _read_content(source)
        if is_dicom(content):
            return read_dicom(content, intensity).convert("RGB")
        opened = _open(content)
        _check_colours(opened, intensity)
        return _convert(opened, intensity, contextlib.nullcontext())
    except InputError as error:
        name = _name_file(source)
        raise InputError(f"picture {name}: {error.problem}" if name else error.problem, error.hint, error.at) from None
    except DAMAGED as error:
        name = _name_file(source)
        problem = f"not a readable picture{f' ({name})' if name else ''}: {_say(error)}"
        is_named_dicom = name.lower().strip("'\"").endswith(ENDINGS)
        raise InputError(problem, NO_LETTERS if is_named_dicom else "mend the file or take it out") from None


def _open(content: bytes) -> PIL.Image.Image:
    """Return a picture whose size is known and whose pixels are not read yet."""
    try:
        return PIL.Image.open(io.BytesIO(content))
    except PIL.UnidentifiedImageError:
        raise ValueError(describe_content(content)) from None
    except PIL.Image.DecompressionBombError as error:
        limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0)
        problem = f"it is larger than the {limit:,} pixels that PIL reads: {str(error).partition(',')[0]}"
        raise InputError(problem, "make it smaller, or cut it into parts") from None


def _convert(opened: PIL.Image.Image, intensity: Intensity, turn: Any) -> PIL.Image.Image:
    """Return a picture as RGB; `turn` is held while its pixels are read."""
    with turn:
        opened.load()
    upright = PIL.ImageOps.exif_transpose(opened)
    if opened.mode == "F" or opened.mode.startswith("I"):
        levels = scale(_describe_values(opened, np.asarray(upright)), intensity)
        is_inverted = _get_tag(opened, _PHOTOMETRIC, 1) == 0  # which PIL (13.0) heeds for 8 bits alone
        return PIL.Image.fromarray(255 - levels if is_inverted else levels).convert("RGB")
    if upright.has_transparency_data:
        seen = upright.convert("LA" if upright.mode == "La" else "RGBA").convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return upright.convert("RGB")


def _check_colours(opened: PIL.Image.Image, intensity: Intensity) -> None:
    """Raise unless colours of 16 bits are to be scaled by the range of their type: PIL (13.0) reads 8 of the bits."""
    is_wide = any(_WIDE_COLOURS.search(str(tile[3])) for tile in getattr(opened, "tile", ()))
    if is_wide and intensity != "dtype":
        problem = "it has 16 bits a colour, of which PIL reads the upper 8"
        raise InputError(problem, "train with `preprocess.intensity: dtype`, or save it with 8 bits a colour", at=AT)


def _describe_values(picture: PIL.Image.Image, values: np.ndarray) -> Wide:
    """Return the numbers of a grey picture of more than 8 bits with the range of their type, as its file says."""
    if picture.mode == "F":
        return Wide(values=values, kind="numbers with a fraction", type_range=None)
    is_tiff, is_long = _get_tag(picture, _BITS, 0) != 0, picture.mode == "I" and picture.format != "PPM"
    bits = int(_get_tag(picture, _BITS, 32 if is_long else 16))  # PIL spreads PGM over 16 bits
    if is_long and (not is_tiff or _get_tag(picture, _NUMBER_TYPE, 1) == 2):
        kind, type_range = f"{bits} bits a pixel with a sign", (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    else:
        kind, type_range = f"{bits} bits a pixel", (0.0, 2.0**bits - 1)
        values = values.view(np.uint32) if is_long else values  # PIL has no mode for 32 bits without a sign
    return Wide(values=values, kind=kind, type_range=type_range)


def _get_tag(picture: PIL.Image.Image, tag: int, default: int) -> int:
    """Return the first number of a tag of a TIFF; the default where there is none."""
    value = getattr(picture, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _say(error: Exception) -> str:
    """Return what is wrong; the operating system names the file again."""
    return getattr(error, "strerror", None) or str(error)


def _name_file(source: Any) -> str:
    path = source.get("path") if isinstance(source, Mapping) else source
    return repr(str(path)) if isinstance(path, (str, Path)) else ""


def _read_content(source: Any) -> bytes:
    if isinstance(source, Mapping):  # datasets.Image(decode=False)
        source = source["bytes"] if source.get("bytes") is not None else source["path"]
    if source is None:
        raise InputError("there is no picture in this cell", "fill it or take the row out")
    if not isinstance(source, (bytes, str, Path)):
        problem = f"expected a picture, got a value of type {type(source).__name__}"
        raise InputError(problem, "is it the right column?", at=("columns", "image"))
    return source if isinstance(source, bytes) else Path(source).read_bytes()
