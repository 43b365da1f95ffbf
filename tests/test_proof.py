"""The proof finds a difference, passes without one, and its child starts clean."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
import torch

import hf_tune.proof
from hf_tune.data.splits import Split
from hf_tune.finetuned import Finetuned, load_finetuned
from hf_tune.proof import MAX_ROWS, Proof, ProofFailed, check_proof, prove


@pytest.fixture
def finetuned(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> Finetuned:
    """Return the model of the run; the proof's child runs inside this process: a fresh one costs 8 s."""
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)
    return load_finetuned(finished_run)


def build_split(count: int) -> Split:
    random = np.random.default_rng(0)
    pictures = [PIL.Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)) for _ in range(count)]
    rows = datasets.Dataset.from_dict({"image": pictures}, features=datasets.Features({"image": datasets.Image()}))
    return Split(name="test", rows=rows.cast_column("image", datasets.Image(decode=False)))


def test_a_model_that_is_the_saved_one_passes(finetuned: Finetuned, finished_run: Path) -> None:
    proof = prove(finetuned, finished_run, build_split(5))
    assert proof.passed and proof.rows == 5 and proof.differing_tensors == ()
    check_proof(proof, finished_run)


def test_no_more_than_the_first_rows_are_compared(finetuned: Finetuned, finished_run: Path) -> None:
    assert prove(finetuned, finished_run, build_split(MAX_ROWS + 3)).rows == MAX_ROWS


def test_a_weight_that_moved_fails_and_is_named(finetuned: Finetuned, finished_run: Path) -> None:
    with torch.no_grad():
        finetuned.model.get_parameter("timm_model.fc.bias")[1] += 0.5
    proof = prove(finetuned, finished_run, build_split(3))
    assert not proof.passed and proof.differing_tensors == ("timm_model.fc.bias",)
    assert proof.max_abs_difference == pytest.approx(0.5, abs=1e-5)


def test_statistics_that_moved_fail_too(finetuned: Finetuned, finished_run: Path) -> None:
    name = "timm_model.bn1.running_mean"
    with torch.no_grad():
        finetuned.model.get_buffer(name).add_(1.0)
    proof = prove(finetuned, finished_run, build_split(3))
    assert not proof.passed and proof.differing_tensors == (name,)


def test_outputs_that_are_no_numbers_do_not_pass(finetuned: Finetuned, finished_run: Path) -> None:
    with torch.no_grad():
        finetuned.model.get_parameter("timm_model.fc.bias").fill_(float("nan"))
    assert not prove(finetuned, finished_run, build_split(2)).passed


def test_other_preprocessing_fails_without_a_tensor_to_blame(
    finetuned: Finetuned, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    normalise = finetuned.encoder.normalise
    own = finetuned.encoder
    encoder = SimpleNamespace(encode=own.encode, intensity=None, normalise=lambda pixels: normalise(pixels) * 1.5)
    changed = Finetuned(task=finetuned.task, model=finetuned.model, encoder=encoder, label_names=finetuned.label_names)
    proof = prove(changed, finished_run, build_split(3))
    assert not proof.passed and proof.differing_tensors == ()
    with pytest.raises(ProofFailed, match="none: the preprocessing must differ"):
        check_proof(proof, finished_run)


def test_a_failed_proof_tells_the_first_tensors() -> None:
    names = tuple(f"layer{number}" for number in range(12))
    proof = Proof(rows=4, max_abs_difference=0.25, passed=False, differing_tensors=names)
    with pytest.raises(ProofFailed) as caught:
        check_proof(proof, Path("run"))
    assert str(caught.value).startswith("run: the reloaded model's outputs differ by 0.25 on 4 rows")
    assert "layer9" in str(caught.value) and "layer10" not in str(caught.value)


def test_the_child_knows_nothing_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, Any] = {}

    def run(command: list[str], env: dict[str, str], **kwargs: Any) -> SimpleNamespace:
        called.update(command=command, env=env)
        return SimpleNamespace(returncode=0, stderr="")

    launcher = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT", "ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
    for name in launcher:
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("HF_TUNE_KEPT", "kept")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "path", ["/here", "/lib/site-packages", "/tasks"])
    hf_tune.proof._run_child(Path("run"), Path("work"), "cpu")
    assert called["command"][6:] == ["/tasks"]  # what of the user's own stands beside a recipe
    assert called["command"][:6] == [sys.executable, "-m", "hf_tune.proof", "run", "work", "cpu"]
    assert not set(launcher) & set(called["env"]) and called["env"]["HF_TUNE_KEPT"] == "kept"
    assert called["env"]["OMP_NUM_THREADS"] == str(torch.get_num_threads())


def test_a_child_that_fails_is_told_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1, stderr="Traceback …\nOSError: no file")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(ProofFailed, match=r"cannot be loaded in a fresh process:\nTraceback …\nOSError: no file"):
        hf_tune.proof._run_child(Path("run"), Path("work"), "cpu")
