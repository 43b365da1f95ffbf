"""A run's folder: on this disk, or fetched from the Hub without what loading does not need."""

from pathlib import Path
from typing import Any

from hf_tune.input_error import InputError


NOT_LOADED = ("checkpoint-*", "plots/*", "predictions.parquet", "reference.parquet", "log.jsonl", "README.md")
"""Patterns of the files of a run that no loading reads."""


def find_run(name: str | Path, revision: str | None, cache_dir: str | Path | None, local_files_only: bool) -> Path:
    """Return the folder of a run that has saved a model; from the Hub only the files that loading reads.

    Raises `InputError` where there is none, or where it cannot be reached.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _fetch(str(name), revision, {"cache_dir": cache_dir, "local_files_only": local_files_only})
    elif revision is not None:
        raise InputError(f"{str(name)!r} is a folder, which has no revision {revision!r}", "leave `revision` out")
    _check_recipe(name, folder)
    if not any((folder / file).exists() for file in ("adapter_config.json", "config.json")):
        raise InputError(f"the run in {str(name)!r} has not saved a model yet", "finish it with --resume")
    return folder


def describe_failure(error: BaseException, subject: str, revision: str | None) -> InputError | None:
    """Return the sentence for what the Hub's client says of `subject`, or of its revision; None where it says nothing.

    Libraries wrap its errors in their own, so causes are looked at too.
    """
    from huggingface_hub import errors

    at = f" at revision {revision!r}" if revision else ""
    chain = _list_causes(error)
    kinds = (errors.GatedRepoError, errors.RepositoryNotFoundError, errors.RevisionNotFoundError)
    found = next((each for kind in kinds for each in chain if isinstance(each, kind)), None)
    if found is not None:
        return _describe_refusal(found, subject, revision)
    lost = next((each for each in chain if isinstance(each, errors.HTTPError)), None)
    if lost is not None:
        problem = f"the Hub cannot be reached for {subject}{at}: {type(lost).__name__}: {_get_first_line(lost)}"
        return InputError(problem, "try again; what was fetched before loads with `local_files_only=True`")
    if any(isinstance(each, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)) for each in chain):
        problem = f"{subject}{at} is neither a folder nor in the cache, and must not be fetched"
        return InputError(problem, "leave `local_files_only` and HF_HUB_OFFLINE out once, or name its `cache_dir`")
    return None


def _fetch(name: str, revision: str | None, where: dict[str, Any]) -> Path:
    """Return the snapshot of a repository; of one that is no run nothing but its list of files is fetched."""
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=["recipe.yaml"], **where))
        _check_recipe(name, folder)
        return Path(snapshot_download(name, revision=folder.name, ignore_patterns=list(NOT_LOADED), **where))
    except errors.HFValidationError:
        hint = "give the `training.output_dir` of a run, or a Hub id such as user/name"
        raise InputError(f"{name!r} is neither a folder nor a Hub id", hint) from None
    except (OSError, errors.HTTPError) as error:
        told = describe_failure(error, repr(name), revision)
        if told is None:  # such as a disk that is full
            raise
        raise told from None


def _check_recipe(name: str | Path, folder: Path) -> None:
    if not (folder / "recipe.yaml").exists():
        raise InputError(f"{str(name)!r} is no run of hf_tune: it holds no recipe.yaml", "give its output_dir")


def _describe_refusal(error: BaseException, subject: str, revision: str | None) -> InputError:
    """Return the sentence for a repository, or a revision of one, that the Hub does not show."""
    from huggingface_hub import errors, get_token

    if isinstance(error, errors.GatedRepoError):
        hint = "ask for access on its page, then log in with `hf auth login` or set HF_TOKEN"
        return InputError(f"{subject} is gated on the Hub: its owner lets in whom he chooses", hint)
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(
            f"{subject} has no revision {revision!r} on the Hub", "it must be a branch, a tag or a commit"
        )
    if get_token() is None:
        hint = "check the name; a private one needs `hf auth login` or HF_TOKEN"
    else:
        hint = "check the name, and that your token may read it"
    return InputError(f"{subject} is neither a folder nor a repository on the Hub that you can see", hint)


def _list_causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it was raised from, outermost first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _get_first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
