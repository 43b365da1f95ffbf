"""Seconds until something happens: the first step of a recipe, the imports that it cannot do without, and `--help`."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.job import Job


ROOT = Path(__file__).parents[2]


def first_step(job: Job) -> dict[str, Any]:
    """Start the digits recipe in a fresh process, which ends at its first step, and time it from here."""
    folder = job.make_folder()
    stamp, recipe = folder / "stamp", ROOT / "recipes" / "resnet_digits.yaml"
    output = f"training.output_dir={folder / 'digits'}"
    before = time.time()
    _run("-m", "tests.bench.first_step", str(stamp), str(recipe), output, "--overwrite")
    return {"seconds": float(stamp.read_text()) - before}


def imports(job: Job) -> dict[str, Any]:
    """Import torch, transformers and its Trainer in a fresh process."""
    return {"seconds": _run("-c", "import torch, transformers; from transformers import Trainer")}


def short_help(job: Job) -> dict[str, Any]:
    """Ask `hf-tune --help` five times, and take the middle one."""
    return {"seconds": sorted(_run("-m", "hf_tune.commands", "--help") for _ in range(5))[2]}


def _run(*arguments: str) -> float:
    before = time.time()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)
    return time.time() - before
