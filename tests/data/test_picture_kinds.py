"""What a file is that PIL does not read, in words."""

import io
import zipfile

import numpy as np
import pytest

from hf_tune.data.picture_kinds import UNREAD_ENDINGS, describe_content


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (zipped(), "it is a zip archive"),
        (array(), "it is an array of numpy"),
        (b"%PDF-1.7\n", "it is a PDF"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "it is a HEIC picture"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "it is a film"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "it is an SVG drawing"),
        (b"<!DOCTYPE html><html>Not found</html>", "it is a web page, as a failed download leaves it"),
        ("Patient 7: größer\n".encode() * 60, "it is text"),
        (b"\x00\x01\x02\x03" * 9, "its content is of no known format"),
        (b"\xff\xfe\xfd\xfc" * 9, "its content is of no known format"),
    ],
)
def test_content_is_told_by_how_it_begins(content: bytes, words: str) -> None:
    assert describe_content(content) == words


def test_text_that_is_cut_inside_a_character_is_text() -> None:
    assert describe_content(b"a" * 999 + "ä".encode() + b"b") == "it is text"


def test_every_kind_that_is_not_read_has_a_cure() -> None:
    assert UNREAD_ENDINGS[".heic"].startswith("save them as JPEG") and UNREAD_ENDINGS[".svg"] == "save them as PNG"
