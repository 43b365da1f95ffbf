"""Prove that what was saved is what was trained: reload it in a fresh process and compare outputs.

python -m hf_tune.proof RUN WORK DEVICE [PATH …]    (called by the run itself)
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_tune.finetuned import Finetuned, load_finetuned
from hf_tune.input_error import InputError
from hf_tune.model.quantised_base import cast_to_float32, is_quantised


MAX_ROWS = 32
TOLERANCE = 1e-5
"""Of the largest output; measured noise: 3e-6 between numbers of threads, 2e-6 between shapes of batches."""

_LAUNCHER_VARIABLES = (
    "WORLD_SIZE",
    "RANK",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_",
    "ACCELERATE_",
    "TORCHELASTIC_",
)


class ProofFailed(RuntimeError):
    """What was saved is not what was trained."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the comparison found."""

    rows: int
    max_abs_difference: float
    """Between outputs in memory and outputs reloaded."""
    passed: bool
    differing_tensors: tuple[str, ...] = ()


def prove(finetuned: Finetuned, folder: Path, split: Any) -> Proof:
    """Return whether `folder`, loaded in a fresh process with another seed, gives the outputs of the model in memory.

    Both run in float32 on the CPU, in evaluation mode and without autocast, on the first `MAX_ROWS` raw rows of the
    split, with the same batches and threads; a quantised base stays on its device.
    """
    device = next(finetuned.model.parameters()).device
    place = device if is_quantised(finetuned.model) else torch.device("cpu")
    cast_to_float32(finetuned.model)
    finetuned.model.to(place)
    rows = split.rows.select(range(min(MAX_ROWS, len(split))))
    with tempfile.TemporaryDirectory(prefix="hf_tune-proof-") as work:
        rows.save_to_disk(Path(work, "rows"))
        _run_child(folder, Path(work), str(place))
        reloaded = np.load(Path(work, "outputs.npy"))
        digests = json.loads(Path(work, "digests.json").read_text())
    outputs = finetuned.read_outputs(list(rows), MAX_ROWS)
    own = _digests(finetuned.model)
    finetuned.model.to(device)
    difference = float(np.abs(outputs - reloaded).max()) if outputs.shape == reloaded.shape else float("inf")
    passed = difference <= TOLERANCE * float(np.abs(outputs).max())
    return Proof(
        rows=len(rows),
        max_abs_difference=difference,
        passed=passed,
        differing_tensors=() if passed else tuple(_find_differing(own, digests)),
    )


def check_proof(proof: Proof, folder: Path) -> None:
    """Raise `ProofFailed` with the tensors that differ where the proof did not pass."""
    if not proof.passed:
        names = ", ".join(proof.differing_tensors[:10]) or "none: the preprocessing must differ"
        raise ProofFailed(
            f"{folder}: the reloaded model's outputs differ by {proof.max_abs_difference:.3g} on {proof.rows} rows; "
            f"tensors that differ: {names}"
        )


def main(folder: Path, work: Path, device: str = "cpu", *paths: str) -> None:
    """Load a run and write its outputs on the rows in `work`; the seed differs from every run's on purpose.

    `paths` are searched last for a task of the user's own.
    """
    import datasets

    sys.path += paths

    torch.manual_seed(int.from_bytes(os.urandom(4), "little"))
    finetuned = load_finetuned(folder, device=device)
    cast_to_float32(finetuned.model)
    rows = list(datasets.load_from_disk(str(work / "rows")))
    np.save(work / "outputs.npy", finetuned.read_outputs(rows, MAX_ROWS))
    (work / "digests.json").write_text(json.dumps(_digests(finetuned.model)))


def _run_child(folder: Path, work: Path, device: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHER_VARIABLES)}
    clean |= {"OMP_NUM_THREADS": str(torch.get_num_threads()), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    installed = [place for place, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))]
    own = sys.path[max(installed, default=len(sys.path)) + 1 :]  # where recipes and runs stand
    command = [sys.executable, "-m", "hf_tune.proof", str(folder), str(work), device, *own]
    child = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise ProofFailed(f"{folder}: the saved model cannot be loaded in a fresh process:\n{child.stderr[-3000:]}")


def _find_differing(own: Mapping[str, str], reloaded: Mapping[str, str]) -> list[str]:
    names = sorted(own.keys() | reloaded.keys())
    # PEFT keeps the replaced, never called head beside the trained one; it starts at random in every process.
    return [name for name in names if own.get(name) != reloaded.get(name) and ".original_module." not in name]


def _digests(model: Any) -> Mapping[str, str]:
    """Return a checksum of every tensor of a model, as float32; quantised ones are unpacked."""
    return {
        name: hashlib.sha256(value.detach().dequantize().float().contiguous().numpy().tobytes()).hexdigest()
        for name, value in model.state_dict().items()
    }


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
    except InputError as error:  # such as a base that is another one now
        sys.exit(str(error))
