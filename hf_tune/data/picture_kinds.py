"""What a file is that is no picture, or none that is read here: in words, by how its content begins."""

import struct
from types import MappingProxyType

from hf_tune.data.dicom_pictures import ENDINGS


READ_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", *ENDINGS)
"""Endings of files that are pictures wherever a folder or a column is looked through for them."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
UNREAD_ENDINGS = MappingProxyType(
    {
        **dict.fromkeys((".heic", ".heif"), "save them as JPEG: `pip install pillow-heif`, or the phone's own export"),
        **dict.fromkeys((".svg", ".svgz"), "save them as PNG"),
        **dict.fromkeys((".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"), "save them as PNG"),
        **dict.fromkeys((".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"), "save the slices that count as 16-bit PNG"),
        **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".lif"), "save regions of the slides as PNG"),
    }
)
"""Endings of files that hold pictures and are not read, with the cure; `datasets` leaves such files out silently."""

DAMAGED = (EOFError, OSError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error)
"""What PIL (13.0) and its plugins raise of a file that is broken somewhere."""
_STARTS = (
    (b"PK\x03\x04", "it is a zip archive"),
    (b"\x1f\x8b", "it is a gzip archive"),
    (b"Rar!", "it is a rar archive"),
    (b"7z\xbc\xaf", "it is a 7z archive"),
    (b"%PDF", "it is a PDF"),
    (b"\x89HDF", "it is an HDF5 file"),
    (b"\x93NUMPY", "it is an array of numpy"),
    (b"\xff\x0a", "it is a JPEG XL picture"),
    (b"II*\x00", "it is a TIFF whose kind of pixels or compression PIL does not read"),
    (b"MM\x00*", "it is a TIFF whose kind of pixels or compression PIL does not read"),
    (b"II+\x00", "it is a BigTIFF that PIL does not read"),
)
_BRANDS = MappingProxyType(
    {
        **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "a HEIC picture"),
        **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V "), "a film"),
    }
)


def describe_content(content: bytes) -> str:
    """Return what bytes that PIL does not know are, as the end of a sentence."""
    if not content:
        return "the file is empty"
    for start, words in _STARTS:
        if content.startswith(start):
            return words
    if content[4:8] == b"ftyp" and content[8:12] in _BRANDS:
        return f"it is {_BRANDS[content[8:12]]}"
    head = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "it is an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, as a failed download leaves it"
    return "it is text" if _is_text(content[:1000]) else "its content is of no known format"


def _is_text(content: bytes) -> bool:
    """Return whether bytes are characters, a cut one at their end apart, and no control codes."""
    text = content.decode("utf-8", "ignore")
    is_whole = len(text.encode()) > len(content) - 4
    return is_whole and len(content) > 12 and all(each.isprintable() or each in "\t\r\n" for each in text)
