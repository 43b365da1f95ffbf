"""The quick form of the benchmark, from its command to its files; nothing of ../shared is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
NEEDS_GPU = "no GPU"


@pytest.mark.slow
def test_the_quick_form_gives_a_number_for_every_measure(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_TUNE_SHARED": str(tmp_path / "nothing")}
    command = [sys.executable, "-m", "tests.bench", "--small", "--output", str(tmp_path / "results")]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    found = json.loads((tmp_path / "results" / "bench.json").read_text())
    assert [each["title"] for each in found["figures"] if each["median"] is None and not is_excused(each)] == []
    assert not any(found["real"].values())
    assert (tmp_path / "results" / "bench.md").read_text() in ended.stdout


def is_excused(figure: dict[str, str]) -> bool:
    """Return whether this machine cannot do it: it has no GPU."""
    return NEEDS_GPU in figure["problem"]
