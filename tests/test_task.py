"""Every task that hf_tune brings keeps the promises of `Task`."""

import collections.abc
import dataclasses
import inspect
import sys
import typing
from pathlib import Path

import pytest
import transformers

from hf_tune.task import Score, Task
from hf_tune.tasks import get_stored_task, get_task, list_tasks


FUNCTIONS = {
    name: typing.get_args(hint)[0]
    for name, hint in typing.get_type_hints(Task).items()
    if typing.get_origin(hint) is collections.abc.Callable
}
REQUIRED = [name for name in FUNCTIONS if Task.__dataclass_fields__[name].default is dataclasses.MISSING]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", list_tasks())
def test_every_function_takes_the_arguments_that_task_says(name: str, function: str) -> None:
    inspect.signature(getattr(get_task(name), function)).bind(*FUNCTIONS[function])
    with pytest.raises(TypeError):
        inspect.signature(getattr(get_task(name), function)).bind(*FUNCTIONS[function][1:])


@pytest.mark.parametrize("name", list_tasks())
def test_every_task_names_things_that_are_there(name: str) -> None:
    task = get_task(name)
    assert isinstance(task, Task) and dataclasses.is_dataclass(task.preprocess)
    assert task.label_role is None or task.label_role in task.columns
    assert hasattr(transformers, task.auto_model)
    assert set(task.training_arguments) <= {each.name for each in dataclasses.fields(transformers.TrainingArguments)}
    assert all(pattern.startswith("*.") and pattern == pattern.lower() for pattern in task.input_patterns)


@pytest.mark.parametrize("member", [*REQUIRED, "columns", "preprocess", "metric_names", "pipeline_tag"])
def test_a_member_that_is_missing_fails_at_once(member: str) -> None:
    parts = {each.name: None for each in dataclasses.fields(Task) if each.name != member}
    with pytest.raises(TypeError, match=member):
        Task(**parts)  # type: ignore[arg-type]


def test_a_task_and_a_score_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Score(value=0.5).value = 1.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_task(list_tasks()[0]).label_role = None  # type: ignore[misc]


def test_a_run_that_a_task_was_copied_to_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own way writes `__pycache__` beside what it imports."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_tasks").mkdir()
    (tmp_path / "own_tasks" / "__init__.py").write_text("")
    (tmp_path / "own_tasks" / "digits.py").write_text("from hf_tune.tasks.image_classification import TASK\n")
    assert get_stored_task("own_tasks.digits", tmp_path) is get_task("image_classification")
    assert not list(tmp_path.rglob("__pycache__")) and not sys.dont_write_bytecode
    for name in ("own_tasks.digits", "own_tasks"):
        sys.modules.pop(name)
