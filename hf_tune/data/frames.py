"""Pictures of several frames or pages, of which the first one is read: found, so that a person is told."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import PIL.Image
import pyarrow
import pyarrow.compute

from hf_tune.data.picture_kinds import DAMAGED


_STARTS = (b"GIF8", b"II*\x00", b"MM\x00*", b"RIFF")
"""How animations and files of pages begin: GIF, TIFF, WebP. A moving PNG counts as one picture."""
_BATCH_ROWS = 1_000


def count_frames(source: Any) -> int:
    """Return how many frames or pages a path or encoded bytes hold; 1 for anything else, and what cannot be read."""
    try:
        if isinstance(source, (str, Path)):
            with open(source, "rb") as stream:
                return _count(stream) if stream.read(4) in _STARTS else 1
        is_candidate = isinstance(source, bytes) and source.startswith(_STARTS)
        return _count(io.BytesIO(source)) if is_candidate else 1
    except (*DAMAGED, PIL.Image.DecompressionBombError):
        return 1


def find_multi_frame(rows: datasets.Dataset, column: str) -> list[int]:
    """Return the numbers of the rows whose picture holds several frames or pages."""
    cells = enumerate(_list_cells(rows.select_columns([column]), column))
    return [row for row, cell in cells if cell is not None and count_frames(cell) > 1]


def _count(stream: Any) -> int:
    stream.seek(0)
    with PIL.Image.open(stream) as picture:
        return int(getattr(picture, "n_frames", 1))


def _list_cells(rows: datasets.Dataset, column: str) -> Iterator[bytes | str | None]:
    """Yield the path or the bytes of every row that may hold several frames; None for the others, unread."""
    for table in rows.with_format("arrow").iter(batch_size=_BATCH_ROWS):
        for cells in table.column(column).chunks:
            is_struct = pyarrow.types.is_struct(cells.type)
            content = cells.field("bytes") if is_struct else cells
            paths = cells.field("path").to_pylist() if is_struct else [None] * len(cells)
            if pyarrow.types.is_string(content.type) or pyarrow.types.is_large_string(content.type):
                yield from content.to_pylist()
                continue
            starts = pyarrow.compute.binary_slice(content, 0, 4).to_pylist()
            for number, (start, path) in enumerate(zip(starts, paths, strict=True)):
                is_candidate = start in _STARTS
                yield content[number].as_py() if is_candidate else (path if start is None else None)
