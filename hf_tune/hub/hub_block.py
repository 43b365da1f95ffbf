"""The `hub:` block: where a run is pushed, when, and how much of it."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from hf_tune.input_error import InputError


_LOGIN = "never write a token into a recipe: run `hf auth login` or set HF_TOKEN"


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The checkpoint on the Hub that holds the weights of a local folder."""

    id: str
    revision: str | None = None
    """Commit, tag or branch; None: the newest, whose commit is written down."""


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Arguments of `create_repo` and `create_commit`, and what is pushed when."""

    REFUSED = MappingProxyType(
        {
            "token": _LOGIN,
            "hub_token": _LOGIN,
            "hub_model_id": "it is called `repo_id`",
            "hub_private_repo": "it is called `private`",
            "hub_strategy": "it is called `every`: end, best or epoch",
            "exist_ok": "a repository that is there is always used; leave it out",
            "repo_type": "a run is pushed as a model; leave it out",
            "create_pr": "name a branch of your own as `revision`",
        }
    )

    repo_id: str | None = None
    """`owner/name`; only `offline: true` does without."""
    private: bool = True
    """Of a repository that is made: a public one is never made by mistake."""
    revision: str = "main"
    """Branch that is pushed to; it is made where it is not there."""
    commit_message: str | None = None
    every: Literal["end", "best", "epoch"] = "end"
    """Also push each best checkpoint, or that of each epoch, while the run trains."""
    verify: bool = True
    """Download what was pushed and compare its outputs, before it comes to `revision`."""
    offline: bool = False
    """True: no network; `hf-tune push` pushes later."""
    include_examples: bool = False
    """Push what shows rows of the data too: predictions, features and pictures of mistakes."""
    base_model: BaseModel | None = None
    """What an adapter's base is on the Hub, where `model:` names a folder."""
    allow_text: list[str] = field(default_factory=list)
    """Texts that look like a token, an e-mail address or a phone number and are none."""

    def __post_init__(self) -> None:
        """Check the names."""
        if self.repo_id is None and not self.offline:
            raise InputError("`repo_id` is missing", "write `owner/name`, or `offline: true`")
        if self.repo_id is not None:
            check_name(self.repo_id, ("repo_id",))
        if self.base_model is not None:
            check_name(self.base_model.id, ("base_model", "id"))
        if not self.revision or self.revision.startswith("refs/") or self.revision == UNVERIFIED:
            raise InputError(f"{self.revision!r} is no branch to push to", "such as `main`", at=("revision",))

    def describe(self) -> str:
        """Return where a run goes, for people."""
        if self.offline:
            return "nothing is pushed now (offline)"
        parts = [str(self.repo_id), "private" if self.private else "for everyone", f"branch {self.revision}"]
        parts += ["verified" if self.verify else "not verified"]
        parts += [f"checkpoints ({self.every}) while it trains"] if self.every != "end" else []
        return ", ".join([*parts, "with rows of the data"] if self.include_examples else parts)


UNVERIFIED = "unverified"
"""The branch that a push goes to until it was verified."""


def check_name(repo_id: str, at: tuple[str, ...]) -> None:
    """Raise where the Hub cannot have a repository of this name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    hint = "write `owner/name` in letters, digits, `-`, `_` and `.`, such as `alice/pictures`"
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise InputError(f"the Hub has no repository of the name {repo_id!r}", hint, at=at) from None
    if "/" not in repo_id:
        raise InputError(f"{repo_id!r} does not say whose it is", hint, at=at)
