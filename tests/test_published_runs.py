"""From a recipe to the Hub and back, for each way of tuning: the same outputs through every library."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub import ModelCard, metadata_load

import hf_tune.proof
from hf_tune.finetuned import load_finetuned
from hf_tune.hub import patience
from hf_tune.input_error import PushFailed
from hf_tune.recipe.error import RecipeError
from hf_tune.recipe.reader import load_recipe
from hf_tune.run import finetune, main


NAME = "alice/colours"
HUB = (f"hub.repo_id={NAME}", "card.license=mit", "training.max_steps=2")
TEXT = "a small rose near the sky"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds, and load in this process what was pushed: a fresh one takes 8 s."""
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)


def serve(hub: Any, folder: str, name: str) -> str:
    """Put a checkpoint on the Hub and return its name there."""
    hub.create(name, files={path.name: path.read_bytes() for path in Path(folder).iterdir()})
    return name


def run_snippets(card: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run each Python block of a card as it stands, beside the file that it speaks of; return what each has made."""
    PIL.Image.new("RGB", (40, 32), (200, 30, 60)).save(card.parent / "some.png")
    monkeypatch.chdir(card.parent)
    blocks = re.findall(r"```python\n(.*?)```", card.read_text(), re.S)
    ran = []
    for block in blocks:
        names: dict[str, Any] = {}
        with redirect_stdout(io.StringIO()) as printed:
            exec(block, names)
        ran.append({**names, "printed": printed.getvalue()})
    return ran


def read_logits(names: dict[str, Any], example: Any) -> np.ndarray:
    """Return the logits of one example through whatever a snippet loaded."""
    if "load_finetuned" in names:
        finetuned = names["model"]
        return finetuned.read_outputs([finetuned.task.read_input(example)])
    with torch.inference_mode():
        if "timm" in names:
            return names["model"](names["transform"](PIL.Image.open(example).convert("RGB")).unsqueeze(0)).numpy()
        if "pipeline" in names:
            pipe = names["model"]
            scores = pipe(example, top_k=None, function_to_apply="none")
            by_label = {each["label"]: each["score"] for each in scores}
            return np.array([[by_label[label] for _, label in sorted(pipe.model.config.id2label.items())]])
        given = PIL.Image.open(example) if str(example).endswith(".png") else example
        return names["model"](**names["processor"](given, return_tensors="pt")).logits.numpy()


KINDS = [
    ("text", "bert", "full", 2),
    ("text", "bert", "lora", 2),
    ("text", "bert", "prefix", 2),
    ("text", "bert", "bottleneck", 2),
    ("pictures", "timm", "full", 3),
    ("pictures", "timm", "lora", 2),
    ("pictures", "vit", "bottleneck", 2),
]


@pytest.mark.parametrize(("kind", "checkpoint", "method", "snippets"), KINDS)
def test_a_run_goes_to_the_hub_and_loads_back_everywhere(
    request: pytest.FixtureRequest,
    hub: Any,
    kind: str,
    checkpoint: str,
    method: str,
    snippets: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    write = request.getfixturevalue("write_text_recipe" if kind == "text" else "write_recipe")
    folders = request.getfixturevalue("tiny_text_checkpoints" if kind == "text" else "tiny_checkpoints")
    base = serve(hub, folders[checkpoint], "owner/base")
    recipe = load_recipe(write(base), [*HUB, f"peft={method}"])
    results = finetune(recipe)
    commit = hub.heads("owner/base")["main"]
    there = hub.files(NAME)
    if method != "full":
        adapter = json.loads(there["adapter_config.json"])
        assert (adapter["base_model_name_or_path"], adapter["revision"]) == ("owner/base", commit)
        assert "model.safetensors" not in there
    card = tmp_path / "card" / "README.md"
    card.parent.mkdir()
    card.write_bytes(there["README.md"])
    check_card(card, results, commit, method)
    ran = run_snippets(card, monkeypatch)
    assert len(ran) == snippets and all(names["printed"].strip() for names in ran)
    example = TEXT if kind == "text" else str(card.parent / "some.png")
    ours = load_finetuned(recipe.output_dir)
    expected = ours.read_outputs([ours.task.read_input(example)])
    for names in ran:
        assert np.allclose(read_logits(names, example), expected, atol=1e-5), sorted(names)


def check_card(card: Path, results: dict[str, Any], commit: str, method: str) -> None:
    """Check what leaderboards and people read first."""
    data = ModelCard.load(card).data
    split = results["splits"]["test"]
    assert {each.metric_type: each.metric_value for each in data.eval_results} == {
        name: pytest.approx(score["value"], abs=1e-6) for name, score in split.items()
    }
    assert metadata_load(card)["model-index"][0]["name"] == "colours"
    assert (data.license, data.base_model) == ("mit", "owner/base")
    assert data.base_model_relation == ("finetune" if method == "full" else "adapter")
    text = card.read_text()
    assert commit[:12] in text and "held-out rows the outputs" in text
    assert not re.search(r"More information|TODO|\[(?:needed|optional)\]|\bNone\b|\bnan\b", text)


def test_a_base_on_this_disk_is_replaced_by_its_name_and_compared(
    hub: Any, write_text_recipe: Callable[..., Path], tiny_text_checkpoints: dict[str, str]
) -> None:
    serve(hub, tiny_text_checkpoints["bert"], "owner/bert")
    recipe = load_recipe(write_text_recipe("bert"), [*HUB, "peft=lora", "hub.base_model={id: owner/bert}"])
    finetune(recipe)
    adapter = json.loads(hub.files(NAME)["adapter_config.json"])
    assert adapter["base_model_name_or_path"] == "owner/bert"
    assert adapter["revision"] == hub.heads("owner/bert")["main"]
    assert tiny_text_checkpoints["bert"] not in hub.files(NAME)["README.md"].decode()
    ours, theirs = load_finetuned(recipe.output_dir), load_finetuned(NAME)
    assert np.allclose(ours.read_outputs([{"text": TEXT}]), theirs.read_outputs([{"text": TEXT}]), atol=1e-6)


def test_a_base_of_other_weights_is_noticed(
    hub: Any, write_text_recipe: Callable[..., Path], tiny_text_checkpoints: dict[str, str]
) -> None:
    from safetensors.torch import load, save

    files = {path.name: path.read_bytes() for path in Path(tiny_text_checkpoints["bert"]).iterdir()}
    tensors = {name: value * 1.5 for name, value in load(files["model.safetensors"]).items()}
    hub.create("owner/other", files={**files, "model.safetensors": save(tensors, metadata={"format": "pt"})})
    recipe = load_recipe(write_text_recipe("bert"), [*HUB, "peft=lora", "hub.base_model={id: owner/other}"])
    with pytest.raises((PushFailed, RecipeError), match="holds other weights than when this adapter was trained"):
        finetune(recipe)
    assert "adapter_config.json" not in hub.files(NAME)


def test_a_base_that_the_hub_has_not_is_told_before_training(
    hub: Any, write_text_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_text_recipe("bert")
    overrides = [*HUB, "peft=lora", "hub.base_model={id: owner/none}"]
    assert main([str(recipe), *overrides]) == 2
    told = capsys.readouterr().err
    assert "hub.base_model: asking the Hub for owner/none: the repository or its branch is not there" in told
    assert not recipe.with_name("run").exists()


def test_checkpoints_are_pushed_while_the_run_trains(
    hub: Any, write_recipe: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    overrides = [*HUB, "hub.every=epoch", "training.max_steps=-1", "training.num_train_epochs=3"]
    recipe = load_recipe(write_recipe(), overrides)
    finetune(recipe)
    titles = [commit.title for commit in hub.commits(NAME, revision="unverified")]
    assert titles[0] == "A run of hf_tune, to be verified" and "A run of hf_tune, unfinished: 3" in titles
    assert [commit.title for commit in hub.commits(NAME)][:-1] == ["A run of hf_tune"]
    assert not list(recipe.output_dir.glob("hub-*"))


def test_a_push_that_fails_while_the_run_trains_is_told_and_ends_nothing(
    hub: Any, write_recipe: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    hub.fault("POST .*/commit/unverified", status=403)
    overrides = [*HUB, "hub.every=epoch", "training.max_steps=-1", "training.num_train_epochs=2"]
    finetune(load_recipe(write_recipe(), overrides))
    assert "the run trains on; a checkpoint was not pushed" in caplog.text
    assert "model.safetensors" in hub.files(NAME)


def test_a_run_whose_push_fails_is_kept_and_ends_with_3(
    hub: Any, write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fault("POST .*/commit/unverified", times=10**6, status=401)
    recipe = write_recipe()
    assert main([str(recipe), *HUB]) == 3
    told = capsys.readouterr().err
    run = recipe.with_name("run")
    assert f"to push it: hf-tune push {run}" in told and (run / "results.json").exists()


@pytest.mark.parametrize(
    ("token", "overrides", "words"),
    [
        ("", [], "hub.repo_id: there is no token for the Hub"),
        ("hf_wrong", [], "hub.repo_id: asking the Hub whose token this is: the Hub does not accept the token"),
        ("hf_test", ["hub.repo_id=nowhere/a"], "who is in no organisation 'nowhere'"),
        ("hf_test", ["hub.repo_id=alice/taken"], "'alice/taken' is a dataset"),
    ],
)
def test_what_would_not_be_let_in_is_told_before_training(
    hub: Any,
    write_recipe: Callable[..., Path],
    token: str,
    overrides: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.create("alice/taken", kind="datasets", private=True)
    monkeypatch.setenv("HF_TOKEN", token)
    recipe = write_recipe()
    assert main([str(recipe), *HUB, *overrides]) == 2
    assert words in capsys.readouterr().err
    assert not recipe.with_name("run").exists()


def test_a_label_that_looks_private_is_told_before_training(
    hub: Any, write_recipe: Callable[..., Path], tiny_loader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe()
    recipe.with_name("tiny_pictures.py").write_text(tiny_loader.replace('"green"', '"jane@clinic.org"'))
    assert main([str(recipe), *HUB]) == 2
    assert "a label holds 'jane@clinic.org', which looks like an e-mail address" in capsys.readouterr().err
    assert not recipe.with_name("run").exists()
    assert main([str(recipe), *HUB, "hub.allow_text=[jane@clinic.org]"]) == 0


def test_a_card_that_must_not_be_pushed_after_training_is_a_push_that_failed(
    hub: Any, write_recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hf_tune.publication.find_private_text", lambda text, allowed: iter(()))
    recipe = write_recipe(replace=(("tiny_pictures:load", "tiny_pictures:load\n    classes: 3"),))
    loader = recipe.with_name("tiny_pictures.py")
    loader.write_text(loader.read_text().replace('"green"', '"jane@clinic.org"'))
    assert main([str(recipe), *HUB]) == 3
    told = capsys.readouterr().err
    assert "README.md:" in told and "looks like an e-mail address" in told and "to push it: hf-tune push" in told
    assert not hub.repos


def test_hub_offline_asks_nobody(write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe()
    assert main([str(recipe), *HUB, "hub.offline=true"]) == 0
    assert "not pushed: hub.offline; later: hf-tune push" in capsys.readouterr().err


NO_NETWORK = """
import socket

def refuse(self, address, *rest):
    if self.family != socket.AF_UNIX:
        open({log!r}, "a").write(repr(address) + "\\n")
        raise OSError(f"no network in this test: {{address}}")
    return connect(self, address, *rest)

connect = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = refuse

def resolve(*arguments, **more):
    open({log!r}, "a").write(repr(arguments) + "\\n")
    raise OSError(f"no network in this test: {{arguments}}")

socket.getaddrinfo = resolve
"""


@pytest.mark.parametrize("kind", ["pictures", "text"])
def test_a_run_without_a_hub_block_uses_no_network(
    kind: str,
    write_recipe: Callable[..., Path],
    write_text_recipe: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Sockets are blocked in the run and in the process of its proof; nothing says HF_HUB_OFFLINE there."""
    log = tmp_path / "connections.txt"
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(NO_NETWORK.format(log=str(log)))
    recipe, method = (write_recipe(), "full") if kind == "pictures" else (write_text_recipe(), "lora")
    paths = [str(tmp_path / "blocked"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HOME": str(tmp_path / "home")}
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "hf_tune.run", str(recipe), "training.max_steps=2", f"peft={method}"]
    command += [] if kind == "pictures" else [f"hub.repo_id={NAME}", "hub.offline=true"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "proof passed" in done.stdout
    assert not log.exists(), log.read_text()
