"""DICOM: pixels by hand and by pydicom, of files that pydicom writes."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_tune.data.dicom_pictures import is_dicom, read_dicom
from hf_tune.data.images import read_image
from hf_tune.input_error import InputError


RAMP = np.array([[0, 1000, 2000, 4095]])


def grey(content: bytes, intensity: Any = None) -> list[int]:
    """Return the first line of grey levels."""
    return np.asarray(read_dicom(content, intensity))[0].tolist()


def test_content_tells_a_dicom_file(write_dicom: Callable[..., bytes]) -> None:
    assert is_dicom(write_dicom(RAMP)) and not is_dicom(b"DICM") and not is_dicom(b"")


def test_the_first_window_is_applied(write_dicom: Callable[..., bytes]) -> None:
    """By DICOM PS3.3 C.11.2.1.2: ((1000 - 1499.5) / 2000 + 0.5) * 255 = 63.8; 2000: 191.3."""
    content = write_dicom(RAMP, WindowCenter=[1500, 40], WindowWidth=[2001, 80])
    assert grey(content) == [0, 64, 191, 255]


@pytest.mark.filterwarnings("error")
def test_a_window_may_be_a_sigmoid_or_exact(write_dicom: Callable[..., bytes]) -> None:
    """255 / (1 + exp(-4 * (1000 - 2000) / 2000)) = 30.4; exact: ((1000 - 2000) / 4000 + 0.5) * 255 = 63.75."""
    content = write_dicom(RAMP, WindowCenter=2000, WindowWidth=2000, VOILUTFunction="SIGMOID")
    assert grey(content) == [5, 30, 128, 251]
    assert grey(write_dicom(RAMP, WindowCenter=2000, WindowWidth=4000, VOILUTFunction="LINEAR_EXACT")) == [
        0,
        64,
        128,
        255,
    ]


def test_a_negative_slope_turns_the_values_over(write_dicom: Callable[..., bytes]) -> None:
    """Values are 4095, 3095, 2095, 0; the window is from 0 to 4095."""
    content = write_dicom(RAMP, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    assert grey(content) == grey(content, [0, 4095]) == grey(content, "dtype") == [255, 193, 130, 0]


def test_numbers_with_a_fraction_are_scaled_by_a_range_alone(write_dicom: Callable[..., bytes]) -> None:
    options = {"PixelData": None, "BitsAllocated": 32, "BitsStored": None, "HighBit": None, "PixelRepresentation": 0}
    content = write_dicom(np.zeros((1, 3)), **options, FloatPixelData=np.array([-1, 0.5, 2], "<f4").tobytes())
    assert grey(content, [-1, 2]) == grey(content, "file") == [0, 128, 255]
    with pytest.raises(InputError, match="it has numbers with a fraction, with values from -1 to 2, and nothing says"):
        grey(content)


def test_slope_and_intercept_come_before_the_window(write_dicom: Callable[..., bytes]) -> None:
    """Values are -1024, -24, 976, 3071 Hounsfield; the window is from -160.5 to 238.5, and -24 lies at 0.342 of it."""
    content = write_dicom(RAMP, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    assert grey(content) == [0, 87, 255, 255]


def test_a_range_is_in_the_units_of_the_rescaled_values(write_dicom: Callable[..., bytes]) -> None:
    content = write_dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=40, WindowWidth=400)
    assert grey(content, [-1000, 3000]) == [0, 128, 255, 255]  # -1000, 1000 (127.5 to even), 3000, 7190
    assert grey(content, "dtype") == [0, 62, 125, 255]  # 12 bits: 1000 * 255 / 4095 = 62.3, 124.5
    assert grey(write_dicom(RAMP // 2 + 100, RescaleSlope=2, RescaleIntercept=0), "file") == [0, 62, 125, 255]


def test_signed_pixels_and_padding(write_dicom: Callable[..., bytes]) -> None:
    values = np.array([[-2000, -1000, 0, 1000]])
    content = write_dicom(values, PixelRepresentation=1, BitsStored=16, HighBit=15, PixelPaddingValue=-2000)
    assert grey(content, "file") == [0, 0, 128, 255]
    assert grey(content, [-1000, 1000]) == [0, 0, 128, 255]
    assert grey(content, "dtype") == [120, 124, 128, 131]  # (32768 - 2000) * 255 / 65535 = 119.7


@pytest.mark.parametrize("intensity", [None, [0, 4095], "file"])
def test_monochrome1_is_turned_over(intensity: Any, write_dicom: Callable[..., bytes]) -> None:
    options = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2048, "WindowWidth": 4096}
    assert grey(write_dicom(RAMP, **options), intensity) == [255, 193, 130, 0]  # 255 - 62.3, 255 - 124.5 (to even)


def test_without_a_window_the_recipe_must_say_the_range(write_dicom: Callable[..., bytes]) -> None:
    with pytest.raises(InputError, match=r"it has 12 bits a pixel, with values from 0 to 4095, .* `\[0, 4095\]`"):
        grey(write_dicom(RAMP))


def test_8_bits_need_no_range(write_dicom: Callable[..., bytes]) -> None:
    values = np.array([[0, 7, 200, 255]])
    content = write_dicom(values, BitsAllocated=8, BitsStored=8, HighBit=7)
    assert grey(content) == grey(content, [0, 4095]) == [0, 7, 200, 255]


def test_a_table_of_values_of_interest_is_applied(write_dicom: Callable[..., bytes]) -> None:
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.LUTData = [10, 20, 30, 250]
    table["LUTData"].VR = "US"
    content = write_dicom(np.array([[0, 1, 2, 9]]), VOILUTSequence=[table])
    assert grey(content) == [10, 20, 30, 250]


def test_colours_are_read(write_dicom: Callable[..., bytes]) -> None:
    """YBR_FULL of pure red is (76, 85, 255), as PIL says too."""
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "SamplesPerPixel": 3, "PlanarConfiguration": 0}
    red = write_dicom(np.array([[[255, 0, 0], [1, 2, 3]]]), PhotometricInterpretation="RGB", **eight)
    assert np.asarray(read_dicom(red, None)).tolist() == [[[255, 0, 0], [1, 2, 3]]]
    assert np.asarray(read_dicom(red, [0, 9])).tolist() == [[[255, 0, 0], [1, 2, 3]]]
    content = write_dicom(np.array([[[76, 85, 255]]]), PhotometricInterpretation="YBR_FULL", **eight)
    assert np.abs(np.asarray(read_dicom(content, None)).astype(int) - [255, 0, 0]).max() <= 1


def test_a_palette_is_read(write_dicom: Callable[..., bytes]) -> None:
    options: dict[str, Any] = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    for name, values in (("Red", (0, 255)), ("Green", (9, 128)), ("Blue", (1, 0))):
        options[f"{name}PaletteColorLookupTableDescriptor"] = [2, 0, 16]
        options[f"{name}PaletteColorLookupTableData"] = np.array([each * 257 for each in values], "<u2").tobytes()
    content = write_dicom(np.array([[1, 0]]), PhotometricInterpretation="PALETTE COLOR", **options)
    assert np.asarray(read_dicom(content, None)).tolist() == [[[255, 128, 0], [0, 9, 1]]]


def test_compressed_pixels_are_those_that_were_compressed(write_dicom: Callable[..., bytes]) -> None:
    import pydicom

    plain = write_dicom(RAMP, WindowCenter=2048, WindowWidth=4096)
    data = pydicom.dcmread(io.BytesIO(plain))
    data.compress(pydicom.uid.RLELossless)
    stream = io.BytesIO()
    data.save_as(stream)
    assert grey(stream.getvalue()) == grey(plain) == [0, 62, 125, 255]


def test_a_compression_that_nothing_here_reads_names_what_to_install(write_dicom: Callable[..., bytes]) -> None:
    import pydicom
    from pydicom.encaps import encapsulate

    data = pydicom.dcmread(io.BytesIO(write_dicom(RAMP)))
    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    stream = io.BytesIO()
    data.save_as(stream)
    with pytest.raises(InputError, match=r"its pixels \(JPEG Lossless.*cannot be read.*pip install \"pylibjpeg"):
        grey(stream.getvalue())


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (np.zeros((3, 2, 2)), {"NumberOfFrames": 3}, "holds 3 frames; save the one that counts as a file of its own"),
        (RAMP, {"PixelData": None, "Modality": "SR"}, r"this DICOM file holds no picture \(SR\); take it out"),
        (RAMP, {"Rows": 20_000, "Columns": 20_000}, "it has 20,000 x 20,000 pixels, more than 178,956,970"),
        (RAMP, {"Rows": 5}, r"its pixels \(Explicit VR Little Endian\) cannot be read: .*; mend the file"),
        (RAMP, {"PhotometricInterpretation": "HSV"}, "its photometric interpretation is 'HSV'; known: MONOCHROME1"),
        (RAMP, {"WindowCenter": 9, "WindowWidth": 0}, "its window cannot be applied: .*must be greater"),
    ],
)
def test_what_is_no_single_picture_is_refused(
    pixels: np.ndarray, options: dict[str, Any], words: str, write_dicom: Callable[..., bytes]
) -> None:
    with pytest.raises(InputError, match=words):
        grey(write_dicom(pixels, **options))


def test_a_torn_file_is_refused(write_dicom: Callable[..., bytes]) -> None:
    content = write_dicom(np.zeros((50, 50)), WindowCenter=9, WindowWidth=9)
    for end in (140, len(content) // 2, len(content) - 9):
        with pytest.raises(InputError, match=r"cannot be read|damaged|holds no picture"):
            read_dicom(content[:end], None)


def test_a_file_that_is_broken_anywhere_is_a_picture_or_a_sentence(write_dicom: Callable[..., bytes]) -> None:
    """pydicom reads elements when they are asked for, and raises struct.error, NotImplementedError, TypeError …"""
    content = write_dicom(np.zeros((6, 6)), WindowCenter=9, WindowWidth=9)
    random = np.random.default_rng(0)
    broken = [content[:end] for end in range(132, len(content), 7)]
    for place in random.integers(132, len(content), 150):
        broken.append(content[:place] + bytes([random.integers(256)]) + content[place + 1 :])
    refused = 0
    for each in broken:
        try:
            read_dicom(each, None)
        except InputError:
            refused += 1
    assert refused > 50


def test_without_pydicom_a_sentence_says_what_to_install(
    write_dicom: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_dicom(RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match=r"pydicom is not installed; pip install \"hf_tune\[dicom\]\""):
        read_image(content)


def test_real_files_are_pictures_or_refused_with_a_sentence() -> None:
    """The files that pydicom brings: of many devices, compressions and faults. Windows are reckoned by hand."""
    import pydicom

    read, refused, windows = 0, [], 0
    for file in sorted(Path(pydicom.__file__).parent.glob("data/test_files/*.dcm")):
        try:
            seen = np.asarray(read_image(file))
        except InputError as error:
            refused.append(f"{file.name}: {error}")
            continue
        read += 1
        data = pydicom.dcmread(file)
        if data.get("WindowCenter") is None or data.PhotometricInterpretation != "MONOCHROME2":
            continue
        values = data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
        centre, width = (np.atleast_1d(data[name].value)[0] for name in ("WindowCenter", "WindowWidth"))
        expected = np.clip((values - (float(centre) - 0.5)) / (float(width) - 1) + 0.5, 0, 1) * 255
        assert np.abs(seen[..., 0] - expected).max() <= 0.51, file
        windows += 1
    assert read >= 25 and windows >= 3 and any("ExplVR_LitEndNoMeta.dcm" in each for each in refused)
    assert all("enforce_file_format=True" in each for each in refused if "NoMeta" in each)
