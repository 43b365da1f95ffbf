"""Decode a picture to RGB, the same way for training, evaluation and `predict`."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from hf_tune.input_error import InputError


def read_image(source: Any) -> PIL.Image.Image:
    """Return an upright RGB picture from a path, encoded bytes, a PIL picture or what `datasets` stores of one.

    16-bit grey pictures are scaled by their whole range: PIL's own conversion (13.0) clips them, so that nearly every
    pixel of an x-ray becomes white. Raises `InputError` for what cannot be decoded.
    """
    try:
        picture = source if isinstance(source, PIL.Image.Image) else PIL.Image.open(_stream(source))
        picture.load()
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"not a readable picture: {error}", "mend the file or take it out") from None
    picture = PIL.ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        picture = PIL.Image.fromarray((np.asarray(picture) / 257.0).round().astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise InputError(
            f"a picture of mode {picture.mode!r} (32 bits a pixel) has no fixed range", "save it with 8 or 16 bits"
        )
    return picture.convert("RGB")


def _stream(source: Any) -> Any:
    if isinstance(source, Mapping):  # datasets.Image(decode=False)
        source = source["bytes"] if source.get("bytes") is not None else source["path"]
    if source is None:
        raise InputError("there is no picture in this cell", "fill it or take the row out")
    if not isinstance(source, (bytes, str, Path)):
        raise InputError(f"expected a picture, got {source!r}", "is it the right column?", at=("columns", "image"))
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source)
