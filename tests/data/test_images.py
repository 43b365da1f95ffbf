"""Decoding of pictures."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from hf_tune.data.images import read_image
from hf_tune.input_error import InputError


def encode(picture: PIL.Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "png", **options)
    return stream.getvalue()


def test_a_16_bit_picture_keeps_its_grey_levels() -> None:
    """TRAPS S6: PIL's own conversion makes nearly all of them white."""
    ramp = PIL.Image.fromarray(np.linspace(0, 65535, 256 * 256).astype(np.uint16).reshape(256, 256))
    levels = np.asarray(read_image(encode(ramp)))[..., 0]
    assert len(np.unique(levels)) == 256 and levels.min() == 0 and levels.max() == 255


def test_orientation_in_exif_is_applied() -> None:
    picture = PIL.Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 0, 0))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    upright = read_image(encode(picture, exif=exif))
    assert upright.size == (2, 4) and upright.getpixel((1, 0)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert read_image(PIL.Image.new("RGB", (3, 3), (200, 200, 200)).convert(mode)).mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"no picture", encode(PIL.Image.new("RGB", (64, 64), (1, 2, 3)))[:60]])
def test_what_cannot_be_decoded_is_an_input_error(content: bytes) -> None:
    with pytest.raises(InputError, match="not a readable picture"):
        read_image(content)


def test_an_empty_cell_and_a_wrong_type_are_told() -> None:
    with pytest.raises(InputError, match=r"^there is no picture in this cell; fill it or take the row out$"):
        read_image({"bytes": None, "path": None})
    with pytest.raises(InputError, match=r"^expected a picture, got a value of type object; is it") as caught:
        read_image(object())
    assert caught.value.at == ("columns", "image")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"bytes": b"no picture", "path": None}, "not a readable picture: its content is of no known format;"),
        ({"bytes": b"no picture", "path": "a.png"}, r"not a readable picture \('a.png'\): its content is of no known"),
        (Path("nowhere.png"), r"not a readable picture \('nowhere.png'\): No such file or directory;"),
    ],
)
def test_an_unreadable_picture_is_named_by_its_path_if_it_has_one(source: Any, words: str) -> None:
    """PIL (13.0) names the stream that it read from: `<_io.BytesIO object at 0x…>`."""
    with pytest.raises(InputError, match=words) as caught:
        read_image(source)
    assert "object at" not in str(caught.value)
