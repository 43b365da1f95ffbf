"""Modules of the user's own, whose source is part of the names of caches; and DICOM files."""

import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def write_modules(tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """Return a function that writes modules of the user's own, loads them anew, and returns the last."""
    written: list[str] = []

    def write(**texts: str) -> ModuleType:
        for name, text in texts.items():
            file = tmp_path / f"{name}.py"
            file.write_text(text)
            os.utime(file, (0, len(text)))  # a time of its own for each text: `linecache` looks at it
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None and spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[name])
            written.append(name)
        return sys.modules[written[-1]]

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., bytes]:
    """Return a function that writes pixels as a DICOM file of 12 bits in 16, MONOCHROME2, and returns its bytes.

    Keywords are other elements of the file; None takes one out.
    """
    pydicom = pytest.importorskip("pydicom")

    def write(pixels: Any, **elements: Any) -> bytes:
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        height, width = pixels.shape[:2] if pixels.ndim == 2 or "SamplesPerPixel" in elements else pixels.shape[1:]
        standard = {"Rows": height, "Columns": width, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}
        standard |= {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
        chosen = {**standard, **elements}
        sign = "i" if chosen["PixelRepresentation"] else "u"
        content = pixels.astype(f"<{sign}{chosen['BitsAllocated'] // 8}").tobytes()
        for name, value in {"PixelData": content + b"\0" * (len(content) % 2), **chosen}.items():
            if value is not None:
                setattr(data, name, value)
        if "PixelData" in data:
            data["PixelData"].VR = "OW" if chosen["BitsAllocated"] == 16 else "OB"
        stream = io.BytesIO()
        data.save_as(stream, enforce_file_format=True)
        return stream.getvalue()

    return write
