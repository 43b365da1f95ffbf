"""What a card is made of beside results.json, and the two questions that all its parts ask of the results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says and results.json does not."""

    name: str
    """How the model is loaded: the name of its folder, or `user/name` of the Hub."""
    recipe: str
    """Text of recipe.yaml."""
    section: str = ""
    """The task's Markdown on its numbers."""
    plots: Sequence[str] = ()
    """File names of the plots to show, in `plots/`."""
    sample: str
    """Python expression of one input."""
    auto_model: str
    """The transformers auto class of the model, and of its processor."""
    auto_processor: str
    model_type: str | None = None
    """Of config.json: `timm_wrapper` where timm reads the model too."""
    in_halves: bool = False
    """Whether config.json names half precision for the base of an adapter, which computes in float32."""
    intensity: str | Sequence[float] | None = None
    """`preprocess.intensity` of a model of pictures, as config.json holds it."""
    own_parts: str = ""
    """What the network does that plain libraries do not build, such as `sees pictures in tiles`."""
    verified: Mapping[str, Any] | None = None
    """`commit`, `rows`, `max_abs_difference`, `date` of the comparison with the Hub's copy; None: there was none."""

    @property
    def title(self) -> str:
        """Return the name without its user."""
        return self.name.rpartition("/")[2]

    @property
    def is_on_hub(self) -> bool:
        """Return whether the name is one of the Hub."""
        return "/" in self.name


def reported_split(results: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the scores of the split that is reported: test, where there is one."""
    name = "test" if "test" in results["splits"] else "validation"
    return name, results["splits"][name]


def is_adapter(results: Mapping[str, Any]) -> bool:
    """Return whether the run saved an adapter, without its base."""
    return results["method"] not in ("full", "probe")


def format_number(value: float) -> str:
    """Return four digits behind the point, or three that count where those would be zeros."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.3g}"
