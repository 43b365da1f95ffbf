"""Decode a picture to RGB, the same way for training, evaluation and `predict`."""

import contextlib
import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from hf_tune.input_error import InputError


_LOADING = threading.Lock()
"""A caller's own picture may be asked for in two threads at once, and PIL (13.0) reads its file as it is loaded."""


def read_image(source: Any) -> PIL.Image.Image:
    """Return an upright RGB picture from a path, encoded bytes, a PIL picture or what `datasets` stores of one.

    16-bit grey pictures are scaled by their whole range: PIL's own conversion (13.0) clips them, so that nearly every
    pixel of an x-ray becomes white. Raises `InputError` for what cannot be decoded.
    """
    stream = source if isinstance(source, PIL.Image.Image) else _stream(source)
    try:
        picture = stream if isinstance(stream, PIL.Image.Image) else PIL.Image.open(stream)
        with _LOADING if picture is source else contextlib.nullcontext():
            picture.load()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        hint = "mend the file or take it out"
        raise InputError(f"not a readable picture{_name_file(source)}: {_say(error)}", hint) from None
    picture = PIL.ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        picture = PIL.Image.fromarray((np.asarray(picture) / 257.0).round().astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise InputError(
            f"a picture of mode {picture.mode!r} (32 bits a pixel) has no fixed range", "save it with 8 or 16 bits"
        )
    return picture.convert("RGB")


def _say(error: Exception) -> str:
    """Return what is wrong; PIL (13.0) and the operating system name the object or file again."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "its content is of no known format"
    return getattr(error, "strerror", None) or str(error)


def _name_file(source: Any) -> str:
    path = source.get("path") if isinstance(source, Mapping) else source
    return f" ({str(path)!r})" if isinstance(path, (str, Path)) else ""


def _stream(source: Any) -> Any:
    if isinstance(source, Mapping):  # datasets.Image(decode=False)
        source = source["bytes"] if source.get("bytes") is not None else source["path"]
    if source is None:
        raise InputError("there is no picture in this cell", "fill it or take the row out")
    if not isinstance(source, (bytes, str, Path)):
        problem = f"expected a picture, got a value of type {type(source).__name__}"
        raise InputError(problem, "is it the right column?", at=("columns", "image"))
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source)
