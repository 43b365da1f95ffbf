"""Names of caches: the same for the same, another one for whatever the content depends on."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest

from hf_tune.data.cache_names import hash_rows, is_named_by_source, name_content


class Marked:
    """A processor that says what it depends on, and nothing else."""

    def __init__(self, mark: str = "same") -> None:
        self.mark = mark

    def fingerprint(self) -> str:
        """Return the mark."""
        return self.mark


def hashed(cells: list[Any], name: str = "value") -> str:
    return hash_rows(datasets.Dataset.from_dict({name: cells}))


def picture(content: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": content, "path": path}


def test_the_same_cells_give_the_same_hash_however_they_are_stored() -> None:
    cells = [picture(bytes([number % 251]) * 9) for number in range(250)]
    whole = datasets.Dataset.from_dict({"image": cells})
    parts = datasets.concatenate_datasets([whole.select(range(90)), whole.select(range(90, 250))])
    moved = datasets.Dataset.from_dict({"image": cells[::-1]}).select(range(249, -1, -1))
    assert hash_rows(whole) == hash_rows(parts) == hash_rows(moved) and len(hash_rows(whole)) == 32


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([picture(b"ab"), picture(b"cd")], [picture(b"cd"), picture(b"ab")]),
        ([picture(b"ab"), picture(b"cd")], [picture(b"ab"), picture(b"ce")]),
        ([picture(b"ab"), picture(b"cd")], [picture(b"abc"), picture(b"d")]),
        ([picture(b"ab", "a.png")], [picture(b"ab", "b.png")]),
        (["ab", "cd"], ["abc", "d"]),
        (["1"], [1]),
        ([[["a"], ["b"]]], [[["a", "b"]]]),
        ([[1, 2]], [[1, 3]]),
        ([None, "a"], ["None", "a"]),
    ],
)
def test_other_cells_give_another_hash(first: list[Any], second: list[Any]) -> None:
    assert hashed(first) != hashed(second)
    assert hashed(first) == hashed(list(first)) != hashed(first, "other")


def test_the_content_of_a_file_that_a_cell_names_counts(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    for cell in (str(file), picture(None, str(file))):
        file.write_bytes(b"one")
        first = hashed([cell])
        file.write_bytes(b"two")
        assert hashed([cell]) != first
        file.write_bytes(b"one")
        assert hashed([cell]) == first
        file.unlink()
        assert hashed([cell]) != first


def test_only_a_plain_function_is_named_by_its_source() -> None:
    def outer(value: int) -> Callable[[], int]:
        return lambda: value

    assert is_named_by_source(hashed)
    assert not is_named_by_source(outer(3)) and not is_named_by_source(functools.partial(hashed, []))


def test_code_that_is_imported_by_what_is_imported_counts(write_modules: Callable[..., ModuleType]) -> None:
    own = {
        "own_sizes": "class Size:\n    side = 3\n",
        "own_helper": "import own_sizes\nimport json\nimport numpy\n",
        "own_encoding": "import own_helper\n",
    }

    def name(**changes: str) -> str:
        module = write_modules(**{**own, **changes})
        return name_content("rows", {module.__name__}, Marked(), ("hf_tune",))

    names = [
        name(),
        name(),
        name(own_sizes="class Size:\n    side = 44\n"),
        name(own_encoding="import own_helper as h\n"),
    ]
    assert names[0] == names[1] and len(set(names)) == 3


def test_rows_processor_and_versions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    first = name_content("rows", set(), Marked(), ("hf_tune", "pillow"))
    assert first == name_content("rows", set(), Marked(), ("hf_tune", "pillow"))
    others = [
        name_content("other rows", set(), Marked(), ("hf_tune", "pillow")),
        name_content("rows", set(), Marked("other"), ("hf_tune", "pillow")),
        name_content("rows", {"json"}, Marked(), ("hf_tune", "pillow")),
    ]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    others.append(name_content("rows", set(), Marked(), ("hf_tune", "pillow")))
    assert len({first, *others}) == 5


def test_a_module_without_a_file_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "notebook_cell", ModuleType("notebook_cell"))
    with pytest.raises((OSError, TypeError)):
        name_content("rows", {"notebook_cell"}, Marked(), ())


def test_what_reads_pictures_counts_however_it_is_imported() -> None:
    """The task imports `read_image`, which imports what reads DICOM and scales 16 bits."""
    import inspect

    from hf_tune.data import dicom_pictures, images, intensity
    from hf_tune.data.cache_names import _read_code

    sources = _read_code({"hf_tune.tasks.image_classification"})
    for module in (images, dicom_pictures, intensity):
        assert inspect.getsource(module) in sources
