"""The `decision:` block: from which probability on the positive one of two classes is answered."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from hf_tune.input_error import InputError
from hf_tune.results.two_classes import read_log_odds
from hf_tune.task import Kept


FILE = "decision.json"
_WORDS = ("youden", "f1", "costs")
_REACHED = ("sensitivity", "specificity")
_TIE = 1e-8
"""Weight of what has reached its share already, where the other share is equal: more of it costs nothing."""
_HINT = "write a probability, youden, f1, costs, {sensitivity: 0.95} or {specificity: 0.95}"


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a mistake costs; only the ratio counts."""

    false_positive: float = 1.0
    """Of a negative row that is taken for a positive one."""
    false_negative: float = 1.0
    """Of a positive row that is missed."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("false_positive", "false_negative"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{getattr(self, name)!r} is out of range", "it must be above 0", at=(name,))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The `decision:` block, for two classes."""

    threshold: float | str | dict[str, float] = 0.5
    """A probability; or chosen on validation: `youden` (sensitivity + specificity), `f1`, `costs`, or the best that
    reaches `{sensitivity: 0.95}` or `{specificity: 0.95}`."""
    costs: Costs | None = None
    """What mistakes cost, for `threshold: costs`."""

    def __post_init__(self) -> None:
        """Check that the threshold is a known one, and that costs are there where they are read."""
        at = ("threshold",)
        if isinstance(self.threshold, Mapping):
            _check_reached(self.threshold, at)
        elif not isinstance(self.threshold, str):
            _check_share(self.threshold, at)
        elif self.threshold not in _WORDS:
            raise InputError(f"{self.threshold!r} is no threshold", _HINT, at=at)
        if self.threshold == "costs" and self.costs is None:
            hint = "write `costs: {false_positive: 1, false_negative: 5}` beside it"
            raise InputError("`threshold: costs` needs to know what mistakes cost", hint, at=at)
        if self.threshold != "costs" and self.costs is not None:
            raise InputError("nothing reads these costs", "write `threshold: costs`, or leave them out", at=("costs",))

    @property
    def rule(self) -> str:
        """Return the threshold as a person says it."""
        if isinstance(self.threshold, Mapping):
            name, value = next(iter(self.threshold.items()))
            return f"{name} of at least {value:g}"
        if self.costs is not None:
            return f"costs {self.costs.false_positive:g} : {self.costs.false_negative:g}"
        return self.threshold if isinstance(self.threshold, str) else "given"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The decision of a finished run, kept with its model."""

    positive: str
    """The label that is answered where its probability is at least `value`."""
    value: float
    rule: str
    """What it was chosen by; `given` where the recipe holds the number."""
    rows: int
    """Validation rows that it was chosen on, or looked at."""
    sensitivity: float
    """On those rows."""
    specificity: float
    log_odds: float | None = None
    """Of `value`, which is rounded to 1 where a network is very sure; None: as `value` says."""

    @property
    def cut(self) -> float:
        """Return the log-odds from which on the positive label is answered."""
        return float(logit(self.value)) if self.log_odds is None else self.log_odds


def check_decision(decision: Decision | None, label_names: Sequence[str], validation: Kept) -> None:
    """Raise `InputError` where a threshold has nothing to decide, or nothing to be chosen on.

    `validation` holds the `labels` of its rows.
    """
    if decision is None:
        return
    labels = validation.get("labels")
    if labels is None or labels.dtype != np.int64 or len(label_names) != 2:
        problem = f"a threshold is for two classes, and the labels are {', '.join(label_names[:10])}"
        raise InputError(problem, "leave the block out", at=("threshold",))
    missing = [name for number, name in enumerate(label_names) if not (labels == number).any()]
    if missing:
        problem = f"the validation split, which chooses the threshold, has no row of {missing[0]!r}"
        raise InputError(problem, "give it rows of both classes, or leave the block out", at=("threshold",))


def choose_threshold(decision: Decision | None, kept: Kept, label_names: Sequence[str]) -> Threshold | None:
    """Return the threshold that a rule chooses on kept validation rows, which are of both classes; None without one.

    Candidates lie half-way between neighbouring rows, in log-odds; of equally good ones the nearest to 0.5 is taken.
    """
    if decision is None:
        return None
    log_odds, positive = read_log_odds(kept), kept["labels"] == 1
    if isinstance(decision.threshold, (int, float)):
        cuts = np.asarray([logit(float(decision.threshold))])
    else:
        levels = np.unique(log_odds)
        cuts = np.concatenate([[levels[0] - 1], (levels[:-1] + levels[1:]) / 2, [levels[-1] + 1]])
    hits = positive.sum() - np.searchsorted(np.sort(log_odds[positive]), cuts)
    alarms = (~positive).sum() - np.searchsorted(np.sort(log_odds[~positive]), cuts)
    sensitivity, specificity = hits / positive.sum(), 1 - alarms / (~positive).sum()
    worth = _weigh(decision, hits, alarms, positive)
    best = np.flatnonzero(worth >= worth.max() - 1e-12)
    chosen = int(best[np.abs(cuts[best]).argmin()])
    return Threshold(
        positive=label_names[1],
        value=float(expit(cuts[chosen])),
        rule=decision.rule,
        rows=len(positive),
        sensitivity=float(sensitivity[chosen]),
        specificity=float(specificity[chosen]),
        log_odds=float(cuts[chosen]),
    )


def decide(kept: Kept, threshold: Threshold | None) -> Kept:
    """Return kept rows with the class that is answered standing first, as all readers take it."""
    if threshold is None or not kept:
        return kept
    answered = (read_log_odds(kept) >= threshold.cut).astype(kept["top_labels"].dtype)
    swapped = (kept["top_labels"][:, 0] != answered)[:, None]
    changed = {
        name: np.where(swapped, kept[name][:, ::-1], kept[name]) for name in ("top_labels", "top_log_probabilities")
    }
    return {**kept, **changed}


def describe_threshold(threshold: Threshold | Mapping[str, Any]) -> str:
    """Return from which probability on which label is answered, and how that came about."""
    found = threshold if isinstance(threshold, Mapping) else asdict(threshold)
    answered = f"{found['positive']!r} is answered where its probability is at least {found['value']:.4g}"
    if found["rule"] == "given":
        return f"{answered}, as the recipe says."
    return (
        f"{answered}: chosen on {found['rows']:,} validation rows by {found['rule']}, where sensitivity is "
        f"{found['sensitivity']:.3f} and specificity {found['specificity']:.3f}."
    )


def save_threshold(threshold: Threshold | None, folder: Path) -> None:
    """Write decision.json where there is a threshold."""
    if threshold is not None:
        (folder / FILE).write_text(json.dumps(asdict(threshold), indent=2) + "\n", encoding="utf-8")


def load_threshold(folder: Path) -> Threshold | None:
    """Return the threshold of a run's folder; None where its most probable class is answered."""
    file = folder / FILE
    if not file.exists():
        return None
    try:
        return Threshold(**json.loads(file.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise InputError(f"{file} is damaged: {error}", "put back the file that the run saved") from None


def _weigh(decision: Decision, hits: np.ndarray, alarms: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return how good each candidate is, of so many positive and negative rows that it takes for positive."""
    count, rest = int(positive.sum()), int((~positive).sum())
    sensitivity, specificity = hits / count, 1 - alarms / rest
    if isinstance(decision.threshold, Mapping):
        name, least = next(iter(decision.threshold.items()))
        reached, other = (sensitivity, specificity) if name == "sensitivity" else (specificity, sensitivity)
        return np.where(reached >= least - 1e-12, other + _TIE * reached, -1.0)
    if decision.threshold == "costs":
        assert decision.costs is not None  # for the type checker
        spent = decision.costs.false_positive * alarms + decision.costs.false_negative * (count - hits)
        return -spent / (count + rest)
    if decision.threshold == "f1":
        return 2 * hits / (count + hits + alarms)
    return sensitivity + specificity


def _check_reached(threshold: Mapping[str, float], at: tuple[str, ...]) -> None:
    """Raise where a block does not say what is to be reached; all rows of a kind may be asked for."""
    if len(threshold) != 1 or next(iter(threshold)) not in _REACHED:
        raise InputError(f"{dict(threshold)!r} is no threshold", _HINT, at=at)
    for name, value in threshold.items():
        if value != 1:
            _check_share(value, (*at, name))


def _check_share(value: float, at: tuple[str, ...]) -> None:
    if not 0 < value < 1:
        raise InputError(f"{value!r} is no share of rows", "give one between 0 and 1", at=at)
