"""Functions of the user's own."""

import sys
from pathlib import Path

import pytest

from hf_tune.input_error import InputError
from hf_tune.own_function import find_function


def test_a_function_is_found_beside_the_recipe_and_in_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_losses.py").write_text("def half(x):\n    return x / 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_function("own_losses:half", ("loss",))(3) == 1.5
    assert find_function("os.path:basename", ("loss",))("a/b") == "b"
    sys.modules.pop("own_losses")


def test_a_folder_that_a_function_is_found_in_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own way writes `__pycache__`, into a run that is pushed or read too."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "losses.py").write_text("def half(x):\n    return x / 2\n")
    (tmp_path / "own_losses.py").write_text("def half(x):\n    return x / 2\n")
    find_function("own_losses:half", ("loss",))
    find_function("own_package.losses:half", ("loss",))
    assert not list(tmp_path.rglob("__pycache__")) and not sys.dont_write_bytecode
    for name in ("own_losses", "own_package.losses", "own_package"):
        sys.modules.pop(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:f", "no module 'no_such_module'; it is looked for beside the recipe"),
        ("no.such.module:f", "no module 'no.such.module'"),
        (".own:f", "no module '.own'"),
        ("textwrap:no", "module 'textwrap' has no function 'no'; known: dedent, fill, indent, shorten, wrap"),
        ("textwrap:__all__", "has no function '__all__'"),
    ],
)
def test_what_is_not_there_is_told(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        find_function(name, ("load", "path"))
    assert caught.value.at == ("load", "path")
