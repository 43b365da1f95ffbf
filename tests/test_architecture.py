"""The architecture, as far as a program can check it: layers, sizes, names, docstrings, mirrored tests."""

import ast
import importlib.metadata
import re
from collections import Counter
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hf_tune"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MODULES = [path for path in FILES if path.name != "__init__.py"]
LAYERS = (
    "input_error|command_output|library_noise|array_files|collector|markdown_text|file_hashes",
    "task|process_end|own_function",
    "data|model|adapter|results|training|hub",
    "tasks",
    "recipe",
    "adapter_base|small_data",
    "finetuned|run_card|recipe_cost",
    "proof",
    "hub_folder",
    "publication|label_checks",
    "finished_run|assembly|speed_report|choices_report|picture_report|first_recipe|table_predictions|run_time",
    "data_report",
    "run",
    "commands",
)
DUMPS = re.compile(r"utils?|misc|common|helpers?|base|core")
KNOW_TASKS = ("recipe", "first_recipe", "finetuned", "run_card", "run", "commands", "tasks")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def layer(module: str) -> tuple[int, str]:
    """Return the level of a dotted module and the part of the package that it belongs to."""
    part = module.split(".")[1]
    return next(level for level, names in enumerate(LAYERS) if part in names.split("|")), part


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef)]


def imported(path: Path) -> list[str]:
    """Return the modules of hf_tune that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hf_tune":
            direct = (
                node.module in ("hf_tune", "hf_tune.model")
                or (PACKAGE.parent / node.module.replace(".", "/")).is_dir()
            )
            names += [f"{node.module}.{alias.name}" for alias in node.names] if direct else [str(node.module)]
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.startswith("hf_tune.")]
    return names


@each_file
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), "no module docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= (79 if path.name == "run.py" else 300)
    for node in functions(path):
        assert (node.end_lineno or 0) - node.lineno < 60, node.name


@each_file
def test_a_file_imports_only_from_layers_to_its_left(path: Path) -> None:
    here = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if here == "hf_tune.__init__":
        return
    own_level, own_part = layer(here)
    for module in imported(path):
        level, part = layer(module)
        assert level < own_level or part == own_part, f"{here} may not import {module}"


@each_file
def test_only_a_few_places_look_up_tasks(path: Path) -> None:
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    calls = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Name) and node.id == "get_task"]
    assert not calls or part in KNOW_TASKS


@each_file
def test_no_state_changes_at_module_level(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        assert not isinstance(node, ast.Global), f"line {node.lineno}"
    for node in TREES[path].body:
        value = getattr(node, "value", None)
        names = [getattr(target, "id", "") for target in getattr(node, "targets", [])]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and names != ["__all__"]:
            assert not isinstance(value, (ast.List, ast.Dict, ast.Set)), (
                f"line {node.lineno}: use a tuple or MappingProxyType"
            )


@each_file
def test_everything_is_annotated_and_public_things_have_a_docstring(path: Path) -> None:
    for node in functions(path):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        bare = [each.arg for each in arguments if each.annotation is None and each.arg not in ("self", "cls")]
        assert not bare and node.returns is not None, f"{node.name}: {bare}"
        assert len(arguments) <= 7, f"{node.name} takes {len(arguments)} arguments"
    for node in TREES[path].body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@each_file
def test_no_error_is_swallowed(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
            assert not broad, f"line {node.lineno}"
            assert not isinstance(node.body[0], ast.Pass), f"line {node.lineno}"


@each_module
def test_a_module_has_a_mirror_test(path: Path) -> None:
    mirror = path.relative_to(PACKAGE)
    assert (ROOT / "tests" / mirror.with_name(f"test_{mirror.name}")).exists()


def test_names_are_unique_and_say_something() -> None:
    stems = Counter(path.stem for path in MODULES)
    assert [name for name, count in stems.items() if count > 1] == []
    parts = {part for path in FILES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert [part for part in parts if DUMPS.fullmatch(part)] == []
    declared = re.findall(r'^    "([A-Za-z0-9_.-]+)>=', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    wanted = {name.lower().replace("_", "-") for name in declared}
    installed = importlib.metadata.packages_distributions()
    tops = {top for top, names in installed.items() if {name.lower().replace("_", "-") for name in names} & wanted}
    assert parts & tops == set()


def test_package_files_hold_a_docstring_only() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        if path.parent.name != "tasks":
            assert len(TREES[path].body) == 1, path


def test_every_task_ends_in_its_table_of_contents() -> None:
    for path in (PACKAGE / "tasks").glob("[a-z]*.py"):
        last = TREES[path].body[-1]
        assert isinstance(last, ast.Assign) and last.targets[0].id == "TASK"  # type: ignore[attr-defined]


def test_the_readme_lists_every_recipe_and_every_module() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "recipes").glob("*.yaml") if path.name not in readme] == []
    assert [str(path.relative_to(PACKAGE)) for path in MODULES if path.name not in readme] == []


def test_every_recipe_opens_with_its_command() -> None:
    for path in (ROOT / "recipes").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert f"accelerate launch -m hf_tune.run recipes/{path.name}" in text.partition("task:")[0], path.name
        assert "easured" in text.partition("task:")[0], path.name


def test_nothing_stands_at_the_top_level_beside_the_plan() -> None:
    planned = {"pyproject.toml", "README.md", "hf_tune", "recipes", "tests", "accelerate_configs", "LICENSE"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - planned - {"outputs", "build"} - {path.name for path in ROOT.glob("*.egg-info")} == set()
