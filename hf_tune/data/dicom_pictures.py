"""DICOM files as pictures: by their own window, or by the range that a recipe names. Needs the extra `dicom`."""

import io
import struct
from typing import Any

import numpy as np
import PIL.Image

from hf_tune.data.intensity import Intensity, Wide, scale
from hf_tune.input_error import InputError


ENDINGS = (".dcm", ".dicom")
NO_LETTERS = "old DICOM files lack the letters DICM: save them again with `enforce_file_format=True` of pydicom"
"""What to do with a file of such an ending that does not begin as DICOM does."""

_BROKEN = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    struct.error,
)
"""What pydicom (3.0) raises of broken elements, which it reads when they are asked for."""


def is_dicom(content: bytes) -> bool:
    """Return whether bytes begin as DICOM files do: with the letters DICM behind 128 bytes."""
    return content[128:132] == b"DICM"


def read_dicom(content: bytes, intensity: Intensity) -> PIL.Image.Image:
    """Return the picture in a DICOM file as a radiologist sees it: RGB, or L with the smallest value black.

    Grey values are rescaled by slope and intercept. `intensity` is in the units that come of it (Hounsfield); without
    it the file's first window is taken, or its VOI table. MONOCHROME1 is turned over, so that white is always dense.
    Raises `InputError` for what holds no picture or several, and what cannot be decompressed.
    """
    try:
        import pydicom
    except ImportError:
        hint = 'pip install "hf_tune[dicom]", or pip install pydicom'
        raise InputError("it is a DICOM file, and pydicom is not installed", hint) from None
    try:
        data = pydicom.dcmread(io.BytesIO(content))
        _check_content(data)
        return _as_picture(data, _read_pixels(data), intensity)
    except InputError:
        raise
    except (*_BROKEN, pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException) as error:
        raise InputError(f"it is a damaged DICOM file: {error}", "mend it or take it out") from None


def _check_content(data: Any) -> None:
    """Raise where there is not exactly one picture, or one that would fill the memory."""
    if not any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        kind = data.get("Modality", "a kind that it does not tell")
        raise InputError(f"this DICOM file holds no picture ({kind})", "take it out")
    frames = int(data.get("NumberOfFrames") or 1)
    if frames > 1:
        raise InputError(f"this DICOM file holds {frames} frames", "save the one that counts as a file of its own")
    limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0)
    size = int(data.get("Rows") or 0), int(data.get("Columns") or 0)
    if limit and size[0] * size[1] > limit:
        raise InputError(f"it has {size[1]:,} x {size[0]:,} pixels, more than {limit:,}", "make it smaller")


def _read_pixels(data: Any) -> np.ndarray:
    """Return what is stored, YBR already as RGB: shape (height, width) or (height, width, 3)."""
    from pydicom.pixels import pixel_array

    try:
        return np.asarray(pixel_array(data))
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
        is_compressed = bool(getattr(syntax, "is_compressed", False))
        problem = f"its pixels ({getattr(syntax, 'name', 'no transfer syntax')}) cannot be read: {error}"
        hint = 'pip install "pylibjpeg[all]" reads more kinds of compression' if is_compressed else "mend the file"
        raise InputError(" ".join(problem.split()), hint) from None


def _as_picture(data: Any, pixels: np.ndarray, intensity: Intensity) -> PIL.Image.Image:
    from pydicom.pixels import apply_color_lut

    photometric = str(data.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, data)[..., :3]
        pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
        return PIL.Image.fromarray(np.ascontiguousarray(pixels))
    if pixels.ndim == 3:
        bits = int(data.BitsStored)
        if pixels.shape[2] != 3 or bits != 8:
            raise InputError(f"it has {pixels.shape[2]} colours of {bits} bits", "save it with 3 colours of 8 bits")
        return PIL.Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8)))
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        problem = f"its photometric interpretation is {photometric!r}"
        raise InputError(problem, "known: MONOCHROME1, MONOCHROME2, RGB, YBR_FULL, YBR_FULL_422, PALETTE COLOR")
    levels = _find_levels(data, pixels, intensity)
    return PIL.Image.fromarray(255 - levels if photometric == "MONOCHROME1" else levels)


def _find_levels(data: Any, pixels: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Return stored grey values as 0 to 255."""
    from pydicom.pixels import apply_modality_lut

    values = apply_modality_lut(pixels, data)
    is_rescaled = values is not pixels and not np.array_equal(values, pixels)
    bits = int(data.get("BitsStored") or 32)
    wide = _describe_values(data, values, bits)
    if intensity is not None and (bits > 8 or is_rescaled):
        return scale(wide, intensity)
    if (shown := _apply_window(data, values)) is not None:
        return np.clip((shown * 255).round(), 0, 255).astype(np.uint8)
    if bits <= 8 and not is_rescaled:
        return scale(wide, "dtype")
    return scale(wide, None)


def _describe_values(data: Any, values: np.ndarray, bits: int) -> Wide:
    """Return rescaled values with the range that their stored bits have, rescaled likewise."""
    from pydicom.pixels import apply_modality_lut

    if "PixelData" not in data:
        return Wide(values=values, kind="numbers with a fraction", type_range=None)
    ends = np.array([0, 2**bits - 1], np.int64) - (2 ** (bits - 1) if data.PixelRepresentation else 0)
    low, high = sorted(float(each) for each in apply_modality_lut(ends, data))
    padding = data.get("PixelPaddingValue")
    if padding is not None:
        padding = float(apply_modality_lut(np.array([padding], np.int64), data)[0])
    return Wide(values=values, kind=f"{bits} bits a pixel", type_range=(low, high), padding=padding)


def _apply_window(data: Any, values: np.ndarray) -> np.ndarray | None:
    """Return values from 0 to 1 by the file's first window, or its first VOI table; None where it has neither.

    pydicom (3.0) spreads them over the range of the stored bits; what it makes of far ends says where that lies.
    """
    from pydicom.pixels import apply_voi, apply_windowing

    if data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        try:
            with np.errstate(over="ignore"):  # of a sigmoid's ends
                black, white = apply_windowing(np.array([-1e12, 1e12]), data)
                return (apply_windowing(values, data) - black) / (white - black)
        except ValueError as error:
            hint = "mend the file, or train with `preprocess.intensity: [low, high]`"
            raise InputError(f"its window cannot be applied: {error}", hint) from None
    if data.get("VOILUTSequence"):
        bits = data.VOILUTSequence[0].LUTDescriptor[2]
        return apply_voi(values.astype(np.int64), data) / (2.0**bits - 1)
    return None
