"""Whether a push at the end of a run will be let in, asked before the run starts: account, name, and what is there."""

from collections.abc import Mapping
from typing import Any

from hf_tune.hub.hub_block import Hub
from hf_tune.hub.patience import refuse_input
from hf_tune.input_error import InputError


_LOGIN = "run `hf auth login` or set HF_TOKEN; `hub.offline=true` trains without the Hub"


def check_destination(hub: Hub) -> None:
    """Raise `InputError` where the token may not write `repo_id`, or something else is there; write nothing.

    It takes four requests. An account may lose its right while a run trains: then the push fails, and the run is kept.
    """
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        hint = "unset it, or write `offline: true` and push later"
        raise InputError("HF_HUB_OFFLINE is set, and the run is to be pushed", hint, at=("repo_id",))
    if get_token() is None:
        raise InputError("there is no token for the Hub", _LOGIN, at=("repo_id",))
    api, repo_id = HfApi(), str(hub.repo_id)
    account = refuse_input(api.whoami, "asking the Hub whose token this is", at=("repo_id",))
    _check_owner(account, repo_id)
    _check_token(account, repo_id)
    found = _look(api, repo_id, "model")
    if found is None:
        for kind in ("dataset", "space"):
            if _look(api, repo_id, kind) is not None:
                raise InputError(f"{repo_id!r} is a {kind}", "give the model another name", at=("repo_id",))
        return
    refuse_input(
        lambda: api.auth_check(repo_id, write=True), f"asking whether {repo_id} may be written", at=("repo_id",)
    )
    _check_content(api, found, hub)


def _check_owner(account: Mapping[str, Any], repo_id: str) -> None:
    owner, user = repo_id.partition("/")[0], str(account["name"])
    organisations = {each["name"]: each.get("roleInOrg") for each in account.get("orgs") or []}
    if owner == user:
        return
    if owner not in organisations:
        where = ", ".join([user, *(name for name, role in organisations.items() if role != "read")])
        problem = f"the token is {user}'s, who is in no organisation {owner!r}"
        raise InputError(problem, f"it may write under: {where}", at=("repo_id",))
    if organisations[owner] == "read":
        problem = f"{user} may only read in the organisation {owner!r}"
        raise InputError(problem, "ask its admin for write access, or push to your own name", at=("repo_id",))


def _check_token(account: Mapping[str, Any], repo_id: str) -> None:
    token = (account.get("auth") or {}).get("accessToken") or {}
    hint = "make a token with write access at the Hub's settings, and `hf auth login` with it"
    if token.get("role") == "read":
        raise InputError("the token may read and not write", hint, at=("repo_id",))
    fine = token.get("fineGrained")
    if token.get("role") != "fineGrained" or not fine:
        return
    names = {repo_id, repo_id.partition("/")[0]}
    scoped = [each for each in fine.get("scoped") or [] if (each.get("entity") or {}).get("name") in names]
    granted = {*(fine.get("global") or ()), *(right for each in scoped for right in each.get("permissions") or ())}
    if "repo.write" not in granted:
        raise InputError(f"the token may not write {repo_id!r}", hint, at=("repo_id",))


def _look(api: Any, repo_id: str, kind: str) -> Any:
    """Return what the Hub says of a repository; None where it has none, or none that the token may see."""
    from huggingface_hub.errors import RepositoryNotFoundError

    def call() -> Any:
        try:
            return api.repo_info(repo_id, repo_type=kind)
        except RepositoryNotFoundError:
            return None

    return refuse_input(call, f"asking the Hub for {repo_id}", at=("repo_id",))


def _check_content(api: Any, found: Any, hub: Hub) -> None:
    """Raise where a repository that is there is public and should not be, or holds a model of somebody else."""
    if hub.private and not found.private:
        problem = f"{hub.repo_id!r} is there and everyone may read it, and the run is to be pushed privately"
        hint = "write `private: false`, make the repository private, or give another name"
        raise InputError(problem, hint, at=("private",))
    files = _list_files(api, str(hub.repo_id), hub.revision)
    if files and "recipe.yaml" not in files and files - {"README.md", ".gitattributes", "LICENSE"}:
        problem = f"the branch {hub.revision!r} of {hub.repo_id!r} holds a model that hf_tune did not push"
        hint = "give another `repo_id`, or a branch of its own as `revision`"
        raise InputError(problem, hint, at=("repo_id",))


def _list_files(api: Any, repo_id: str, revision: str) -> set[str]:
    """Return the files of a branch; none where the branch is not there."""
    from huggingface_hub.errors import RevisionNotFoundError

    def call() -> set[str]:
        try:
            return set(api.list_repo_files(repo_id, revision=revision))
        except RevisionNotFoundError:
            return set()

    return refuse_input(call, f"asking the Hub what {repo_id} holds", at=("repo_id",))
