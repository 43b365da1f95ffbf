"""Animations and files of pages: how many frames they hold, and which rows they stand in."""

import io
from pathlib import Path

import datasets
import PIL.Image
import pytest

from hf_tune.data.frames import count_frames, find_multi_frame


def encode(kind: str, frames: int) -> bytes:
    pictures = [PIL.Image.new("RGB", (9, 9), (60 * number, 0, 0)) for number in range(frames)]
    stream = io.BytesIO()
    options = {"save_all": True, "append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["gif", "tiff", "webp"])
@pytest.mark.parametrize("frames", [1, 3])
def test_frames_are_counted_by_content(kind: str, frames: int, tmp_path: Path) -> None:
    file = tmp_path / "any.name"
    file.write_bytes(encode(kind, frames))
    assert count_frames(encode(kind, frames)) == count_frames(file) == count_frames(str(file)) == frames


def test_whatever_cannot_be_counted_is_one(tmp_path: Path) -> None:
    for source in (tmp_path / "nowhere.gif", b"GIF89a", b"", b"II*\x00", encode("png", 1), None, object()):
        assert count_frames(source) == 1


def test_rows_are_found_however_pictures_are_stored(tmp_path: Path) -> None:
    contents = [encode("png", 1), encode("gif", 2), encode("tiff", 1), encode("tiff", 2)]
    paths = [str(tmp_path / f"{number}.bin") for number in range(4)]
    for path, content in zip(paths, contents, strict=True):
        Path(path).write_bytes(content)
    structs = [{"bytes": contents[0], "path": None}, {"bytes": contents[1], "path": "a"}]
    structs += [{"bytes": None, "path": path} for path in paths[2:]]
    for cells in (contents, paths, structs):
        rows = datasets.Dataset.from_dict({"image": cells, "other": [0, 1, 2, 3]})
        assert find_multi_frame(rows, "image") == [1, 3]
        assert find_multi_frame(rows.select([3, 2, 1]), "image") == [0, 2]
