"""Decoding of pictures."""

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from hf_tune.data.frames import count_frames
from hf_tune.data.images import read_image
from hf_tune.input_error import InputError


def encode(picture: PIL.Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "png", **options)
    return stream.getvalue()


def save(array: np.ndarray, kind: str, **options: Any) -> bytes:
    """Return an array of numbers as PIL writes it."""
    stream = io.BytesIO()
    PIL.Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def xray(top: int) -> np.ndarray:
    """Return a picture like an x-ray: a body that fades, with noise; 16 bits, values from 0 to about `top`."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    body = np.exp(-2 * (x**2 + y**2)) + np.random.default_rng(0).normal(0, 0.01, (96, 96))
    return (np.clip(body, 0, 1) * top).astype(np.uint16)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize(("top", "intensity"), [(65535, "dtype"), (4095, "file"), (4095, [0, 4095]), (700, "file")])
def test_a_16_bit_picture_keeps_its_grey_levels(kind: str, top: int, intensity: Any) -> None:
    """TRAPS S6: PIL's own conversion makes nearly all of them white."""
    values = xray(top)
    content = save(values, kind)
    plain = np.asarray(PIL.Image.open(io.BytesIO(content)).convert("L"))
    assert (plain == 255).mean() > (0.9 if top == 65535 else 0.3)
    levels = np.asarray(read_image(content, intensity))
    assert len(np.unique(levels)) >= 200 and (levels == 255).mean() < 0.1
    low, high = {"dtype": (0, 65535), "file": (int(values.min()), int(values.max()))}.get(str(intensity), (0, 4095))
    expected = np.rint(255 * (values.astype(float) - low) / (high - low))
    assert (levels[..., 0] == expected).all() and (levels == levels[..., :1]).all()
    with pytest.raises(InputError, match=r"it has 16 bits a pixel.*`preprocess\.intensity`"):
        read_image(content)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_a_picture_in_memory_is_scaled_as_its_file(kind: str) -> None:
    picture = PIL.Image.fromarray(xray(4095))
    whole = np.asarray(read_image(save(xray(4095), kind), [0, 4095]))
    assert (np.asarray(read_image(picture, [0, 4095])) == whole).all()
    assert (np.asarray(read_image(PIL.Image.open(io.BytesIO(save(xray(4095), kind))), [0, 4095])) == whole).all()


def write_tiff(array: np.ndarray, number_type: int, photometric: int = 1) -> bytes:
    """Return a grey TIFF by hand: PIL writes few number types. `number_type` 1 has no sign, 2 has one."""
    pixels, (height, width) = array.tobytes(), array.shape
    tags = [(256, width), (257, height), (258, 8 * array.itemsize), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(pixels)), (339, number_type)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize(
    ("content", "levels"),
    [
        (write_tiff(np.array([[-32768, 0, 32767]], "<i2"), 2), [0, 128, 255]),
        (write_tiff(np.array([[-(2**31), 0, 2**31 - 1]], "<i4"), 2), [0, 128, 255]),
        (write_tiff(np.array([[0, 2**31, 2**32 - 1]], "<u4"), 1), [0, 128, 255]),
        (write_tiff(np.array([[0, 32768, 65535]], "<u2"), 1), [0, 128, 255]),
        (write_tiff(np.array([[0, 32768, 65535]], "<u2"), 1, photometric=0), [255, 127, 0]),  # 0 is white
        (b"P5 3 1 4095\n" + np.array([0, 2048, 4095], ">u2").tobytes(), [0, 128, 255]),
    ],
)
def test_the_range_of_a_number_type_is_that_of_the_file(content: bytes, levels: list[int]) -> None:
    assert np.asarray(read_image(content, "dtype"))[0, :, 0].tolist() == levels


def test_numbers_with_a_fraction_are_scaled_by_a_range() -> None:
    content = save(np.array([[-0.5, 0.0, 0.2, 1.0]], np.float32), "tiff")
    assert np.asarray(read_image(content, [0, 1]))[0, :, 0].tolist() == [0, 0, 51, 255]
    assert np.asarray(read_image(content, "file"))[0, :, 0].tolist() == [0, 85, 119, 255]
    for intensity in (None, "dtype"):
        with pytest.raises(InputError, match=r"numbers with a fraction, with values from -0\.5 to 1"):
            read_image(content, intensity)


def test_orientation_in_exif_is_applied() -> None:
    picture = PIL.Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 0, 0))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    upright = read_image(encode(picture, exif=exif))
    assert upright.size == (2, 4) and upright.getpixel((1, 0)) == (255, 0, 0)


@pytest.mark.parametrize("intensity", [None, "file", [0, 9]])
@pytest.mark.parametrize(
    ("picture", "colour"),
    [
        (PIL.Image.new("L", (2, 1), 77), (77, 77, 77)),
        (PIL.Image.new("1", (2, 1), 1), (255, 255, 255)),
        (PIL.Image.new("LA", (2, 1), (100, 51)), (224, 224, 224)),  # a fifth of it on white: 20 + 204
        (PIL.Image.new("RGBA", (2, 1), (200, 100, 0, 51)), (244, 224, 204)),
        (PIL.Image.new("RGBA", (2, 1), (9, 8, 7, 255)), (9, 8, 7)),
        (PIL.Image.new("RGBA", (2, 1), (9, 8, 7, 0)), (255, 255, 255)),
        (PIL.Image.new("CMYK", (2, 1), (255, 0, 0, 0)), (0, 255, 255)),
        (PIL.Image.new("CMYK", (2, 1), (0, 0, 0, 204)), (51, 51, 51)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_8_bits_of_every_kind_are_taken_as_a_viewer_shows_them(
    picture: PIL.Image.Image, colour: tuple[int, ...], intensity: Any
) -> None:
    kind = "tiff" if picture.mode == "CMYK" else "png"
    stream = io.BytesIO()
    picture.save(stream, kind)
    for source in (picture, stream.getvalue()):
        assert read_image(source, intensity).getpixel((1, 0)) == colour


def test_a_palette_is_looked_up_and_its_transparent_colour_is_white() -> None:
    picture = PIL.Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2])
    assert list(np.asarray(read_image(encode(picture)))[0].tolist()) == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    seen = np.asarray(read_image(encode(picture, transparency=1)))[0].tolist()
    assert seen == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
    half = np.asarray(read_image(encode(picture, transparency=bytes([255, 0, 51]))))[0].tolist()
    assert half == [[10, 20, 30], [255, 255, 255], [218, 220, 222]]  # a fifth of 70, 80, 90 on white


def test_the_transparent_colour_of_a_picture_without_alpha_is_white() -> None:
    picture = PIL.Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    seen = np.asarray(read_image(encode(picture, transparency=(4, 5, 6))))[0].tolist()
    assert seen == [[1, 2, 3], [255, 255, 255]]


def write_png(colour: int, rows: bytes, width: int, height: int = 1) -> bytes:
    """Return a PNG of 16 bits by hand: PIL writes none with colours. `colour` 2 is RGB, 4 grey and alpha."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bits_a_colour_are_taken_by_the_range_of_their_type_alone() -> None:
    colours = write_png(2, b"\0" + np.array([256, 25600, 65535], ">u2").tobytes(), 1)
    assert read_image(colours, "dtype").getpixel((0, 0)) == (1, 100, 255)
    seen = write_png(4, b"\0" + np.array([25600, 0], ">u2").tobytes(), 1)
    assert read_image(seen, "dtype").getpixel((0, 0)) == (255, 255, 255)
    for content in (colours, seen):
        for intensity in (None, "file", [0, 4095]):
            with pytest.raises(InputError, match=r"16 bits a colour.*intensity: dtype`, or save") as caught:
                read_image(content, intensity)
            assert caught.value.at == ("preprocess", "intensity")


def test_16_bits_for_all_three_colours_are_8_bits_a_colour() -> None:
    """A BMP of 5, 6 and 5 bits: 31 of 31 red and 32 of 63 green, which is 129.5."""
    header = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x07E0, 0x1F)
    content = struct.pack("<2sIHHI", b"BM", 14 + len(header) + 4, 0, 0, 14 + len(header)) + header
    pixel = read_image(content + struct.pack("<HH", 31 << 11 | 32 << 5, 0)).getpixel((0, 0))
    assert pixel[0] == 255 and abs(pixel[1] - 129.5) <= 1 and pixel[2] == 0


def test_orientation_is_applied_to_16_bits_too() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    values = np.array([[0, 1], [2, 3]], np.uint16)
    upright = np.asarray(read_image(save(values, "png", exif=exif), "file"))[..., 0]
    assert upright.tolist() == [[170, 0], [255, 85]]
    tags = np.asarray(read_image(save(values, "tiff", tiffinfo={274: 6}), "file"))[..., 0]
    assert tags.tolist() == [[170, 0], [255, 85]]


def test_of_several_frames_or_pages_the_first_is_read() -> None:
    pictures = [PIL.Image.new("RGB", (4, 4), (200 * number, 50, 0)) for number in range(3)]
    for kind in ("gif", "tiff", "png"):
        stream = io.BytesIO()
        pictures[0].save(stream, kind, save_all=True, append_images=pictures[1:])
        assert read_image(stream.getvalue()).getpixel((2, 2)) == (0, 50, 0)


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_read() -> None:
    """A decompression bomb: 20,000 x 20,000 pixels in 23 bytes of a header."""
    bomb = write_png(0, b"", 20_000, 20_000)
    assert len(bomb) < 100
    with pytest.raises(InputError, match=r"larger than the 178,956,970 pixels.*400000000 pixels.*; make it smaller"):
        read_image(bomb)


def test_other_colour_spaces_are_converted() -> None:
    """Lab of white is (100 %, 0, 0); PIL keeps a and b with 128 added."""
    stream = io.BytesIO()
    PIL.Image.new("LAB", (2, 2), (255, 128, 128)).save(stream, "tiff")
    assert min(read_image(stream.getvalue()).getpixel((0, 0))) >= 253
    assert read_image(PIL.Image.new("YCbCr", (2, 2), (51, 128, 128))).getpixel((0, 0)) == (51, 51, 51)
    assert read_image(PIL.Image.new("HSV", (2, 2), (0, 255, 102))).getpixel((0, 0)) == (102, 0, 0)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_truncated_jpeg_is_told_with_its_name(part: float, tmp_path: Path) -> None:
    stream = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(stream, "jpeg")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue()[: int(part * len(stream.getvalue()))])
    with pytest.raises(InputError, match=r"^not a readable picture \('.*a\.jpg'\): .*; mend the file or take it out$"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("content", [b"", b"no picture here", encode(PIL.Image.new("RGB", (64, 64), (1, 2, 3)))[:60]])
def test_what_cannot_be_decoded_is_an_input_error(content: bytes) -> None:
    with pytest.raises(InputError, match="not a readable picture"):
        read_image(content)


@pytest.mark.parametrize("kind", ["AVIF", "TIFF", "WEBP", "JPEG", "PNG", "GIF"])
def test_a_file_that_is_broken_anywhere_is_a_picture_or_a_sentence(kind: str) -> None:
    """Plugins of PIL raise RuntimeError (AVIF), TypeError (TIFF) and struct.error (EXIF) too."""
    random, stream = np.random.default_rng(0), io.BytesIO()
    pages = [PIL.Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8)) for _ in range(2)]
    more: dict[str, Any] = {"save_all": True, "append_images": pages[1:]} if kind in ("TIFF", "WEBP", "GIF") else {}
    pages[0].save(stream, kind, **more)
    content = stream.getvalue()
    for place in random.integers(0, len(content), 200):
        broken = content[:place] + bytes([random.integers(256)]) + content[place + 1 :]
        with contextlib.suppress(InputError):
            assert read_image(broken).mode == "RGB"
        assert count_frames(broken) >= 1


def test_an_empty_cell_and_a_wrong_type_are_told() -> None:
    with pytest.raises(InputError, match=r"^there is no picture in this cell; fill it or take the row out$"):
        read_image({"bytes": None, "path": None})
    with pytest.raises(InputError, match=r"^expected a picture, got a value of type object; is it") as caught:
        read_image(object())
    assert caught.value.at == ("columns", "image")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"bytes": b"\0\1\2", "path": None}, "not a readable picture: its content is of no known format;"),
        ({"bytes": b"no picture here", "path": "a.png"}, r"not a readable picture \('a.png'\): it is text; mend"),
        (
            {"bytes": b"<svg></svg>", "path": "a.png"},
            r"not a readable picture \('a.png'\): it is an SVG drawing;",
        ),
        (Path("nowhere.png"), r"not a readable picture \('nowhere.png'\): No such file or directory;"),
    ],
)
def test_an_unreadable_picture_is_named_by_its_path_if_it_has_one(source: Any, words: str) -> None:
    """PIL (13.0) names the stream that it read from: `<_io.BytesIO object at 0x…>`."""
    with pytest.raises(InputError, match=words) as caught:
        read_image(source)
    assert "object at" not in str(caught.value)
