"""`--log-format json`: whatever a command says is one JSON object a line, and errors and results come in parts."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hf_tune.command_output import describe_error, run_command, say_result, take_format, tell_error
from hf_tune.commands.__main__ import main as hf_tune_command
from hf_tune.input_error import InputError
from hf_tune.run import main as run_main


def read(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "name", "rest"),
    [
        (["a", "--log-format", "json", "b"], "json", ["a", "b"]),
        (["--log-format=json", "a"], "json", ["a"]),
        (["a", "--log-format=text"], "text", ["a"]),
        (["a", "log-format"], "text", ["a", "log-format"]),
    ],
)
def test_the_format_is_taken_wherever_it_stands(arguments: list[str], name: str, rest: list[str]) -> None:
    assert take_format(arguments) == (name, rest)


@pytest.mark.parametrize("arguments", [["--log-format", "xml"], ["--log-format=xml"], ["--log-format"]])
def test_another_format_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda argv: 0, arguments) == 2
    assert "known are text and json" in capsys.readouterr().err


def speak(argv: Sequence[str] | None) -> int:
    """Say something in every way that there is."""
    print("two\nlines", end="")
    print(" and a rest", file=sys.stderr)
    print("\rbar 1\rbar 2\n\n", file=sys.stderr)
    logging.getLogger("anything").warning("mind %s", "this")
    logging.getLogger("anything").info("not this")
    tell_error(InputError("wrong", "right it"))
    if not say_result({"path": Path("x"), "value": 1}):
        print("for people")
    return 4


def test_everything_that_is_said_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(speak, ["--log-format", "json"]) == 4
    told = capsys.readouterr()
    output = [{"kind": "output", "text": "two"}, {"kind": "result", "path": "x", "value": 1}]
    assert read(told.out) == [*output, {"kind": "output", "text": "lines"}]
    lines = [" and a rest", "bar 1", "bar 2"]
    messages = [{"kind": "message", "text": line} for line in lines]
    logged = {"kind": "message", "level": "warning", "text": "mind this"}
    assert read(told.err) == [*messages, logged, {"kind": "error", "problem": "wrong", "hint": "right it"}]


def test_as_text_it_is_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    stream, handlers = sys.stdout, list(logging.getLogger().handlers)
    assert run_command(speak, []) == 4
    told = capsys.readouterr()
    assert told.out == "two\nlinesfor people\n" and told.err.endswith("wrong; right it\n")
    assert sys.stdout is stream and logging.getLogger().handlers == handlers


def test_only_the_first_process_says_a_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    run_command(speak, ["--log-format", "json"])
    told = capsys.readouterr()
    assert "result" not in told.out and "mind this" not in told.err and "wrong" in told.err


def test_help_speaks_of_the_format(capsys: pytest.CaptureFixture[str]) -> None:
    def ask(argv: Sequence[str] | None) -> int:
        argparse.ArgumentParser().parse_args(argv)
        return 0

    with pytest.raises(SystemExit):
        run_command(ask, ["--help"])
    assert "--log-format json" in capsys.readouterr().out


def test_each_mistake_of_a_recipe_has_its_file_line_and_key(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_recipe(replace=(("seed: 0", "sede: 0"),)))
    line = next(number for number, text in enumerate(Path(recipe).read_text().splitlines(), 1) if "sede" in text)
    for command, arguments in ((run_main, []), (hf_tune_command, ["check"])):
        asked = [*arguments, recipe, "peft=loar", "--log-format", "json"]
        code = run_command(command, asked) if command is run_main else command(asked)
        assert code == 2
        told = capsys.readouterr()
        override, key = [each for each in read(told.err) if each["kind"] == "error"][::-1]
        if key["key"] == "peft":
            override, key = key, override
        assert (key["file"], key["line"], key["key"]) == (recipe, line, "training.sede")
        assert key["problem"] == "unknown key of TrainingArguments" and "seed" in key["hint"]
        assert override["key"] == "peft" and override["place"] == "command line: peft=loar"
        assert override["file"] is None and override["line"] is None


def test_an_error_without_a_place_has_its_sentence() -> None:
    assert describe_error(RuntimeError("broken")) == [{"problem": "broken", "hint": ""}]


def test_verbs_say_their_results_as_objects(
    finished_run: Path, pictures: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hf_tune_command(["info", str(finished_run), "--log-format", "json"]) == 0
    (info,) = read(capsys.readouterr().out)
    assert info == {"kind": "result", **json.loads((finished_run / "results.json").read_text())}
    pictures[0].save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("n,image\n7,a.png\n")
    for name in ("a.png", "a.csv"):
        assert hf_tune_command(["--log-format=json", "predict", str(finished_run), str(tmp_path / name)]) == 0
    picture, row = read(capsys.readouterr().out)
    assert picture["input"].endswith("a.png") and set(picture["scores"]) == {"red", "green", "blue"}
    assert (row["n"], row["prediction"], row["kind"]) == ("7", picture["label"], "result")
