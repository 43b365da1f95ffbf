"""A run to the loopback Hub and back: what is pushed and what is not, verified, and kept through every fault."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hf_tune.proof
from hf_tune.commands.push import main as push
from hf_tune.finetuned import load_finetuned
from hf_tune.hub import patience
from hf_tune.hub.hub_commit import Repository


NAME = "alice/pictures"
OVERRIDES = ("card.license=mit",)
FOREVER = 10**6
PUSHED = {
    *("README.md", "config.json", "log.jsonl", "model.safetensors", "recipe.yaml", "results.json"),
    *("plots/confusion.png", "plots/curves.png"),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds, and load in this process what was pushed: a fresh one takes 8 s."""
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(hf_tune.proof, "_run_child", hf_tune.proof.main)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def hash_run(run: Path) -> dict[str, str]:
    """Return the hash of every file of a run but those that a push writes."""
    files = [path for path in run.rglob("*") if path.is_file() and path.relative_to(run).parts[0] != "hub"]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def on_hub(hub: Any, revision: str = "main") -> dict[str, bytes]:
    return {name: data for name, data in hub.files(NAME, revision).items() if name != ".gitattributes"}


def test_a_push_is_whole_private_verified_and_one_commit(
    hub: Any, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hash_run(run)
    assert push([str(run), NAME, *OVERRIDES]) == 0
    assert set(on_hub(hub)) == PUSHED and hub.repos["models", NAME].private
    assert [commit.title for commit in hub.commits(NAME)][:-1] == ["A run of hf_tune"]
    assert on_hub(hub)["model.safetensors"] == (run / "model.safetensors").read_bytes()
    verified = json.loads(on_hub(hub)["results.json"])["verified"]
    assert verified["rows"] == 11 and verified["max_abs_difference"] == 0.0
    assert verified["commit"] == hub.heads(NAME)["unverified"]
    card = on_hub(hub)["README.md"].decode()
    assert verified["commit"] in card and f'load_finetuned("{NAME}")' in card and "mistakes" not in card
    tags = [name for name in hub.heads(NAME) if name.startswith("run-")]
    assert len(tags) == 1 and hub.heads(NAME)[tags[0]] == hub.heads(NAME)["main"]
    assert f"verified and pushed: {hub.url}/{NAME}, main at {hub.heads(NAME)['main'][:12]}" in capsys.readouterr().err
    assert hash_run(run) == before


def test_a_second_push_of_the_same_run_changes_nothing(hub: Any, run: Path) -> None:
    assert push([str(run), NAME, *OVERRIDES]) == 0
    heads, sent = hub.heads(NAME), list(hub.uploaded)
    assert push([str(run), NAME, *OVERRIDES]) == 0
    assert hub.heads(NAME) == heads and hub.uploaded == sent


def test_rows_of_the_data_are_pushed_only_when_asked(hub: Any, run: Path) -> None:
    assert push([str(run), NAME, *OVERRIDES, "hub.include_examples=true"]) == 0
    more = {"predictions.parquet", "reference.parquet"}
    more |= {f"plots/{name}" for name in ("mistakes.png",) if (run / "plots" / name).exists()}
    assert set(on_hub(hub)) == PUSHED | more
    assert push([str(run), NAME, *OVERRIDES]) == 0  # and taken away again
    assert set(on_hub(hub)) == PUSHED


def test_without_verification_the_card_claims_none(hub: Any, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert push([str(run), NAME, *OVERRIDES, "hub.verify=false", "hub.private=false", "hub.revision=dev"]) == 0
    assert on_hub(hub) == {} and set(on_hub(hub, "dev")) == PUSHED and not hub.repos["models", NAME].private
    assert "unverified" not in hub.heads(NAME) and "downloaded" not in on_hub(hub, "dev")["README.md"].decode()
    assert "pushed, not verified" in capsys.readouterr().err


def test_what_was_pushed_loads_back_with_the_same_outputs(hub: Any, run: Path, pictures: list[Any]) -> None:
    assert push([str(run), NAME, *OVERRIDES]) == 0
    ours = load_finetuned(run)
    again = load_finetuned(NAME)
    examples = [{"image": picture} for picture in pictures]
    assert (again.read_outputs(examples) == ours.read_outputs(examples)).all()
    assert again.predict(pictures) == ours.predict(pictures) and again.label_names == ours.label_names


STEPS = {
    "create": "POST /api/repos/create",
    "branch": "POST .*/branch/unverified",
    "preupload": "POST .*/preupload/",
    "lfs batch": "POST .*/info/lfs/objects/batch",
    "lfs put": "PUT ",
    "lfs verify": "POST .*/lfs/objects/verify",
    "commit aside": "POST .*/commit/unverified",
    "compare": "GET .*/tree/[0-9a-f]{40}",
    "download": "GET .*/resolve/.*model.safetensors",
    "commit": "POST .*/commit/main",
    "tag": "POST .*/tag/",
}
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "429": {"status": 429, "retry_after": 0},
    "hung up": {"drop": True},
    "answer lost": {"drop": True, "after": True},
    "cut": {"cut": 40},
}


STATUSES = (401, 403, 404, 500)


def each_pair(*kinds: Any) -> list[Any]:
    """Return every step with every kind of fault; by default each step runs with one of them, and all are slow."""
    pairs = [(step, kind) for step in STEPS for kind in kinds]
    quick = {(step, kinds[number % len(kinds)]) for number, step in enumerate(STEPS)}
    return [pytest.param(*pair, marks=() if pair in quick else pytest.mark.slow) for pair in pairs]


@pytest.mark.parametrize(("step", "fault"), each_pair(*FAULTS))
def test_a_fault_that_passes_is_survived(hub: Any, run: Path, step: str, fault: str) -> None:
    hub.fault(STEPS[step], times=1, **FAULTS[fault])
    assert push([str(run), NAME, *OVERRIDES]) == 0
    assert len(hub.faults_taken) == 1
    assert set(on_hub(hub)) == PUSHED and len(hub.commits(NAME)) == 2
    assert any(name.startswith("run-") for name in hub.heads(NAME))


@pytest.mark.parametrize(("step", "status"), each_pair(*STATUSES))
def test_a_fault_that_stays_loses_nothing_and_a_second_push_completes(
    hub: Any, run: Path, step: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hash_run(run)
    lasting = hub.fault(STEPS[step], times=FOREVER, status=status)
    assert push([str(run), NAME, *OVERRIDES]) == 3
    told = capsys.readouterr().err
    assert (
        f"the whole run is kept in {run}; to push it: hf-tune push {run} card.license=mit hub.repo_id={NAME}" in told
        and "Traceback" not in told
    )
    assert hash_run(run) == before
    there = on_hub(hub) if ("models", NAME) in hub.repos else {}
    assert set(there) in (set(), PUSHED)  # all of it or nothing
    lasting.times = 0
    assert push([str(run), NAME, *OVERRIDES]) == 0
    assert set(on_hub(hub)) == PUSHED
    assert len(set(hub.uploaded)) == len(hub.uploaded) or step == "lfs verify"  # what was never verified is sent again
    assert any(name.startswith("run-") for name in hub.heads(NAME))


def test_a_hub_that_goes_away_in_the_middle(
    hub: Any, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    download = Repository.download

    def leave(self: Repository, *arguments: Any) -> Path:
        with hub.away():
            return download(self, *arguments)

    monkeypatch.setattr(Repository, "download", leave)
    assert push([str(run), NAME, *OVERRIDES]) == 3
    assert "the Hub cannot be reached, or hung up" in capsys.readouterr().err
    assert on_hub(hub) == {}
    monkeypatch.setattr(Repository, "download", download)
    assert push([str(run), NAME, *OVERRIDES]) == 0


def test_another_model_on_the_hub_stays_aside(
    hub: Any, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    download = Repository.download

    def spoil(self: Repository, *arguments: Any) -> Path:
        folder = download(self, *arguments)
        tensors = load_file(folder / "model.safetensors")
        changed = {name: value + 1 if name == "fc.bias" else value for name, value in tensors.items()}
        (folder / "model.safetensors").unlink()
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    monkeypatch.setattr(Repository, "download", spoil)
    assert push([str(run), NAME, *OVERRIDES]) == 3
    told = capsys.readouterr().err
    assert "what was pushed is not what was trained, and stays aside" in told and "fc.bias" in told
    assert on_hub(hub) == {}


def test_ctrl_c_is_a_push_that_failed(
    hub: Any, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: Repository, *arguments: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Repository, "download", interrupt)
    assert push([str(run), NAME, *OVERRIDES]) == 3
    assert "the push was interrupted" in capsys.readouterr().err


def test_a_slow_hub_is_waited_for(hub: Any, run: Path) -> None:
    hub.fault("commit", times=2, delay=0.2)
    assert push([str(run), NAME, *OVERRIDES]) == 0


def test_the_token_is_nowhere(hub: Any, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert push([str(run), NAME, *OVERRIDES]) == 0
    printed = capsys.readouterr()
    assert "hf_test" not in printed.out + printed.err
    assert not [path for path in run.rglob("*") if path.is_file() and b"hf_test" in path.read_bytes()]
    assert not [name for name, data in on_hub(hub).items() if b"hf_test" in data]


Change = Callable[[Path], Any]


def spoil_weights(run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"other")


def fail_proof(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    results["proof"]["passed"] = False
    (run / "results.json").write_text(json.dumps(results))


def name_a_patient(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    results["notes"] = ["Ask jane@clinic.example.org."]
    (run / "results.json").write_text(json.dumps(results))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil_weights, "model.safetensors has changed since the run ended"),
        (fail_proof, "failed: what was saved is not what was trained"),
        (lambda run: (run / "results.json").unlink(), "has not finished: --resume goes on with it"),
        (name_a_patient, "'jane@clinic.example.org' looks like an e-mail address; take it out, or write it under"),
    ],
)
def test_a_run_that_must_not_be_pushed_is_told_before_anything_is_sent(
    hub: Any, run: Path, change: Change, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(run)
    assert push([str(run), NAME, *OVERRIDES]) == 2
    assert words in capsys.readouterr().err
    assert not any(request.startswith(("POST", "PUT")) for request in hub.requests)
