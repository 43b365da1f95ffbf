"""A run to the Hub: pushed aside, downloaded again, compared in a fresh process, then brought to its branch."""

import contextlib
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hf_tune.data.splits import Splits
from hf_tune.finetuned import load_finetuned
from hf_tune.hub.account import check_destination
from hf_tune.hub.background_push import BackgroundPush
from hf_tune.hub.hub_block import UNVERIFIED, Hub
from hf_tune.hub.hub_commit import Commit, Repository, name_tag
from hf_tune.hub.patience import refuse_input
from hf_tune.hub.private_text import find_private_text
from hf_tune.hub_folder import (
    build_hub_folder,
    build_unfinished_folder,
    check_text,
    complete_unfinished_folder,
    write_hub_card,
)
from hf_tune.input_error import InputError, PushFailed
from hf_tune.library_noise import shown_transfers
from hf_tune.process_end import get_rank
from hf_tune.proof import ProofFailed, check_proof, prove
from hf_tune.recipe.hub_rules import say_how_to_allow
from hf_tune.recipe.schema import Recipe
from hf_tune.recipe.source import read_yaml
from hf_tune.task import LoadedModel, Task


def check_hub(recipe: Recipe) -> None:
    """Raise `RecipeError` where a push at the end of the run would not be let in; without a `hub:` block ask nothing.

    The first process asks for all, for the checkpoint too that `hub.base_model` names.
    """
    if recipe.hub is not None and not recipe.hub.offline and get_rank() == 0:
        with recipe.blame("hub"):
            check_destination(recipe.hub)
            _resolve_base(recipe.hub)


def publish(recipe: Recipe, task: Task, splits: Splits, results: dict[str, Any]) -> dict[str, Any]:
    """Push a finished run where its `hub:` block says so, on the first process alone; return the results.

    Raises `PushFailed`, with the command that pushes later.
    """
    if results and recipe.hub is not None and not recipe.hub.offline:
        try:
            push_run(recipe, task, splits.test or splits.validation, recipe.output_dir)
        except InputError as error:  # the run is there all the same
            raise PushFailed(str(error), _say_later(recipe.output_dir, ())) from error
    elif results and recipe.hub is not None:
        print(f"not pushed: hub.offline; later: hf-tune push {recipe.output_dir} owner/name", file=sys.stderr)
    return results


def push_run(recipe: Recipe, task: Task, split: Any, run: Path, again: Sequence[str] = ()) -> None:
    """Push the run in a folder, and say where it stands; `again` is what the command needs beside the folder.

    With `hub.verify` it goes to a branch of its own first, is downloaded again and compared on the first raw rows of
    the split; what is then committed to `hub.revision` has the same files. Raises `PushFailed`, with the command that
    pushes later, and `RecipeError`; nothing of the run is lost or changed.
    """
    with _told_how_to_push(run, again), recipe.blame("hub"), shown_transfers():
        assert recipe.hub is not None  # for the type checker
        hub = _resolve_base(recipe.hub)
        folder = stage(recipe, hub, task, run)
        repository = Repository(str(hub.repo_id))
        repository.create(hub.private)
        if hub.verify:
            candidate = repository.commit(folder, UNVERIFIED, f"{_name(hub)}, to be verified")
            write_hub_card(folder, hub, _verify(repository, candidate, run, split))
        commit = repository.commit(folder, hub.revision, _name(hub))
        tag = name_tag(folder)
        repository.tag(commit, tag)
    checked = "verified and pushed" if hub.verify else "pushed, not verified"
    print(f"{checked}: {repository.url}, {commit.revision} at {commit.oid[:12]}, tag {tag}", file=sys.stderr)


def stage(recipe: Recipe, hub: Hub, task: Task, run: Path) -> Path:
    """Return the folder that is pushed, complete on the disk and looked through; raises `InputError`."""
    from huggingface_hub import get_token

    folder = build_hub_folder(run, _read_values(recipe, run), hub, task)
    check_text(folder, hub.allow_text, get_token())
    return folder


def build_background_push(recipe: Recipe, model: Any, loaded: LoadedModel) -> list[BackgroundPush]:
    """Return the callback that pushes checkpoints while the run trains; none where the recipe asks for none."""
    hub, run = recipe.hub, recipe.output_dir
    if hub is None or hub.offline or hub.every == "end":
        return []

    def push(folder: Path, stop: threading.Event) -> None:
        block = _resolve_base(hub)
        complete_unfinished_folder(folder, model, loaded.processor, _read_values(recipe, run), block)
        check_text(folder, block.allow_text, None)
        repository = Repository(str(block.repo_id), stop)
        repository.create(block.private)
        commit = repository.commit(folder, UNVERIFIED, f"{_name(block)}, unfinished: {folder.name.rpartition('-')[2]}")
        repository.tag(commit, name_tag(folder))

    return [BackgroundPush(hub.every, lambda checkpoint: build_unfinished_folder(checkpoint, run), push)]


def check_push(recipe: Recipe, label_names: Sequence[str], is_sharded: bool) -> None:
    """Raise where a card would tell what looks private, or checkpoints are to be pushed that nobody could load."""
    hub = recipe.hub
    if hub is None:
        return
    with recipe.blame("hub"):
        for _, kind, found in find_private_text("\n".join(label_names), hub.allow_text):
            problem = f"a label holds {found!r}, which looks like {kind} and would be pushed"
            raise InputError(problem, say_how_to_allow(kind))
        if is_sharded and hub.every != "end":
            problem = "checkpoints of a network that is cut over processes hold its parts, which nobody could load"
            raise InputError(problem, "write `every: end`", at=("every",))


@contextlib.contextmanager
def _told_how_to_push(run: Path, again: Sequence[str]) -> Iterator[None]:
    """Add to a push that failed the command that pushes later; a full disk and a lost download are such too."""
    later = _say_later(run, again)
    try:
        yield
    except PushFailed as error:
        raise PushFailed(str(error.problem), later) from error
    except ProofFailed as error:
        raise PushFailed(f"what was pushed is not what was trained, and stays aside: {error}", later) from error
    except OSError as error:
        raise PushFailed(f"the push stopped: {error}", later) from error
    except KeyboardInterrupt:
        raise PushFailed("the push was interrupted", later) from None


def _say_later(run: Path, again: Sequence[str]) -> str:
    return f"the whole run is kept in {run}; to push it: {shlex.join(['hf-tune', 'push', str(run), *again])}"


def _verify(repository: Repository, candidate: Commit, run: Path, split: Any) -> dict[str, Any]:
    """Return what was found of a commit that was downloaded again; raises `ProofFailed` where it is another model."""
    with tempfile.TemporaryDirectory(prefix="hf_tune-verify-") as cache:
        downloaded = repository.download(candidate, Path(cache))
        proof = prove(load_finetuned(run), downloaded, split)
        check_proof(proof, downloaded)
    return {
        "commit": candidate.oid,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "rows": proof.rows,
        "max_abs_difference": proof.max_abs_difference,
    }


def _resolve_base(hub: Hub) -> Hub:
    """Return the block with the commit of the checkpoint that `base_model` names."""
    from huggingface_hub import HfApi

    base = hub.base_model
    if base is None:
        return hub
    doing = f"asking the Hub for {base.id}"
    commit = refuse_input(lambda: HfApi().model_info(base.id, revision=base.revision).sha, doing, at=("base_model",))
    return replace(hub, base_model=replace(base, revision=commit))


def _read_values(recipe: Recipe, run: Path) -> dict[str, Any]:
    """Return the values of a run's recipe.yaml, where the checkpoint's commit is, with this recipe's hub and card."""
    return {**read_yaml(run / "recipe.yaml")[0], **{name: recipe.values.get(name) for name in ("hub", "card")}}


def _name(hub: Hub) -> str:
    return hub.commit_message or "A run of hf_tune"
