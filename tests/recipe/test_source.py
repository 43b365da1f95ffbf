"""YAML as plain values with the line of every key."""

from pathlib import Path

import pytest

from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.source import Source, read_value, read_yaml


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_every_key_and_list_item_has_its_line(tmp_path: Path) -> None:
    values, source = read_yaml(write(tmp_path, "a: 1\n\n# words\nb:\n  c: [x, y]\n  d:\n    - 1\n    - e: 2\n"))
    assert values == {"a": 1, "b": {"c": ["x", "y"], "d": [1, {"e": 2}]}}
    expected = {("a",): 1, ("b",): 4, ("b", "c"): 5, ("b", "c", 1): 5, ("b", "d", 1): 8, ("b", "d", 1, "e"): 8}
    assert {path: source.lines[path] for path in expected} == expected


def test_values_are_plain_python_objects(tmp_path: Path) -> None:
    values, _ = read_yaml(write(tmp_path, "a: 1e-4\nb: 'x'\nc: {d: 0x10}\ne: [true]\n"))
    found = [values, values["a"], values["b"], values["c"], values["c"]["d"], values["e"], values["e"][0]]
    assert [type(each) for each in found] == [dict, float, str, dict, int, list, bool]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 0.0001), ("no", "no"), ("on", "on"), ("true", True), ("", None), ("012", 12), ("[1, a]", [1, "a"])],
)
def test_a_value_is_read_as_yaml_1_2(text: str, value: object) -> None:
    read = read_value(text)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is given twice, first on line 1"),
        ("b:\n  a: 1\n  c: 2\n  a: 3\n", 4, "key 'a' is given twice, first on line 2"),
        ("a:\n  b: 1\nc:\n  b: 1\n  'b': 3\n", 5, "key 'b' is given twice, first on line 4"),
        ("a: 1\nb: [1\n", 3, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
        ("- a\n- b\n", 1, "expected blocks"),
        ("", 1, "expected blocks"),
    ],
)
def test_a_broken_file_is_told_with_its_line(text: str, line: int, words: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(f"{file}:{line}: ") and words in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"yaml:1: .*byte 0xff is not UTF-8"):
        read_yaml(tmp_path / "recipe.yaml")


def test_a_folder_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is a folder, not a recipe"):
        read_yaml(tmp_path)


def test_a_control_character_is_told_as_a_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not valid YAML"):
        read_yaml(write(tmp_path, "a: 1 # \x07\n"))


def test_a_missing_file_without_neighbours_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe stands in"):
        read_yaml(tmp_path / "recipe.yaml")


def test_a_key_that_is_not_in_the_file_has_its_nearest_parents_line() -> None:
    source = Source("a.yaml", {("training",): 7})
    assert source.problem(("training", "output_dir"), "missing").place == "a.yaml:7"
    assert source.problem(("card",), "missing").place == "a.yaml:1"


def test_a_key_of_the_command_line_is_told_as_such() -> None:
    source = Source("a.yaml", {("training", "seed"): 7}, {("training", "seed"): "training.seed=x"})
    problem = source.problem(("training", "seed"), "wrong")
    assert (problem.place, problem.key) == ("command line: training.seed=x", "training.seed")


def test_a_block_that_only_the_command_line_gave_is_told_as_such() -> None:
    source = Source("a.yaml", {("task",): 1}, {("card", "licence"): "card.licence=mit"})
    assert source.problem(("card",), "wrong").place == "command line: card.licence=mit"


def test_a_block_replaced_by_the_command_line_hides_the_lines_of_the_file() -> None:
    lines = {("training",): 6, ("training", "seed"): 7}
    source = Source("a.yaml", lines, {("training",): "training={seed: -1}"})
    assert source.problem(("training", "seed"), "wrong").place == "command line: training={seed: -1}"
