"""`import hf_tune` is all that an adapter of ours needs to load."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


KNOWS = "print('BOTTLENECK' in peft.PEFT_TYPE_TO_CONFIG_MAPPING, type(peft.__spec__.loader).__name__)"


@pytest.mark.parametrize(
    "first", ["import hf_tune, peft", "import peft, hf_tune", "import hf_tune, transformers, peft"]
)
def test_the_method_is_known_whatever_is_imported_first(first: str) -> None:
    assert run(f"{first}\n{KNOWS}") == "True SourceFileLoader\n"


def test_a_look_whether_peft_is_there_does_not_use_the_hook_up() -> None:
    look = "import importlib.util, hf_tune\nassert importlib.util.find_spec('peft')\nimport peft\n"
    assert run(f"{look}{KNOWS}") == "True SourceFileLoader\n"


def test_the_package_alone_imports_neither_torch_nor_peft() -> None:
    code = (
        "import sys, hf_tune, hf_tune.adapter.peft_registration\nprint('torch' in sys.modules, 'peft' in sys.modules)"
    )
    assert run(code) == "False False\n"
