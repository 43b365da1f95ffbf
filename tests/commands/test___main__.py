"""The verbs, and what `--help` costs."""

import subprocess
import sys

import pytest

from hf_tune.commands.__main__ import describe_verbs, find_verbs, main


VERBS = ("card", "check", "compare", "evaluate", "info", "merge", "methods", "new", "predict", "push", "schema")


def test_the_verbs_are_the_files_of_the_folder() -> None:
    assert tuple(find_verbs()) == VERBS


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_every_verb_with_its_first_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "  info       Say what a run is: task, method, base, scores, proof." in told
    assert all(f"\n  {verb} " in told for verb in VERBS)
    assert "accelerate launch -m hf_tune.run" in told


def test_no_verb_is_without_a_description() -> None:
    lines = describe_verbs(find_verbs()).split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == list(VERBS)
    assert all(line.endswith(".") and len(line.split()) > 3 for line in lines)


def test_an_unknown_verb_names_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chekc"]) == 2
    assert capsys.readouterr().err == f"hf-tune: no verb 'chekc'; known: {', '.join(VERBS)}\n"


def test_a_verb_gets_the_rest_of_the_command_line_and_gives_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", "no_such_folder"]) == 2
    monkeypatch.setattr(sys, "argv", ["hf-tune", "info", "no_such_folder"])
    assert main() == 2
    assert capsys.readouterr().err.count("no_such_folder is no run") == 2


def test_help_imports_neither_torch_nor_transformers() -> None:
    code = """
import contextlib, importlib, sys
from hf_tune.commands.__main__ import find_verbs, main
main(["--help"])
for verb in find_verbs():
    with contextlib.suppress(SystemExit):
        main([verb, "--help"])
print(sorted({"torch", "transformers", "datasets", "numpy"} & set(sys.modules)))
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.count("usage: hf-tune") == 1 + len(VERBS)
    assert child.stdout.splitlines()[-1] == "[]"
