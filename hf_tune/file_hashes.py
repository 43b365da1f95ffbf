"""Hashes of whole files, read piece by piece: as `sha256sum` has them, and as git names a blob."""

import hashlib
from pathlib import Path
from typing import Any


_PIECE_BYTES = 2**20


def hash_file(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    return _feed(hashlib.sha256(), file)


def hash_blob(file: Path) -> str:
    """Return the SHA-1 by which git, and so the Hub, names a file's content, in hexadecimal digits."""
    return _feed(hashlib.sha1(f"blob {file.stat().st_size}\0".encode()), file)


def _feed(digest: Any, file: Path) -> str:
    with file.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
    return str(digest.hexdigest())
