"""The loss of each training row where the `objective:` block changes it: weights, costs, focal, or the user's own."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from hf_tune.input_error import InputError
from hf_tune.own_function import find_function
from hf_tune.task import MULTI_LABEL, SINGLE_LABEL, Batch, ProblemType
from hf_tune.training.loss_weights import normalise, read_class_weights, read_costs
from hf_tune.training.objective import Objective
from hf_tune.training.partners import compute_losses


RowLoss: TypeAlias = Callable[[Any, Batch, float], torch.Tensor]
"""(model output, batch, label smoothing) → loss of each row, shape (rows,), float32: as a task's own `loss`."""

_AT = ("loss",)
_RAISED = (ArithmeticError, AttributeError, AssertionError, ImportError, LookupError, NameError, RuntimeError)
_MISTAKES = (*_RAISED, TypeError, ValueError)
"""What a function of the user's own raises that was not tried before."""


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """Cross-entropy of rows that are one of several classes, with class weights and focus.

    The smoothed cross-entropy of a row, times (1 - p) ** gamma of each class that its label is shared out to (focal
    loss, Lin et al. 2017, arXiv:1708.02002), times the weight of its label: never the weights of the classes that
    smoothing spreads to, as `torch.nn.CrossEntropyLoss` has it (pytorch#104776).
    """

    weights: torch.Tensor | None = None
    """Of each class, shape (classes,); None: all 1."""
    gamma: float = 0.0

    def __call__(self, outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """Return the loss of each row; labels may be numbers of classes, or a share for each class."""
        log_probabilities = outputs.logits.float().log_softmax(1)
        shares = _share_labels(batch["labels"], log_probabilities)
        losses = -_smooth(shares, label_smoothing) * log_probabilities
        if self.gamma:
            missing = -torch.expm1(log_probabilities)  # 1 - p, exact near 0
            losses = losses * missing.clamp(min=1e-12) ** self.gamma  # the root of 0 has no finite gradient
        each = losses.sum(1)
        return each if self.weights is None else each * (shares @ self.weights.to(shares.device))


@dataclass(frozen=True, kw_only=True)
class CostLoss:
    """The expected cost, sum of p(j) * cost(label, j), and w * (-log p(label) - (1 - p(label))) for its gradient.

    w is the mean cost of the mistakes on the row's label. As -log p is never below 1 - p, this is never below the
    expected cost. With costs that depend on the label alone, as those of two classes do, it is the cross-entropy with
    the weights w (Ting 2002, "An instance-weighting method to induce cost-sensitive trees"), and with equal costs the
    plain one; else the expected cost draws answers to what is cheap (Galdran et al. 2020, arXiv:2010.00291). On 2,000
    made-up problems of four classes with costs from 1 to 20 the likeliest answer costs 0.36 more than the best one,
    with the weights alone 0.74, by plain cross-entropy 0.98. The expected cost alone has no gradient for a row that is
    wholly wrong, and -log(1 - p(j)) none towards its label: on magnetic_tile it never came back from one class.
    """

    costs: torch.Tensor
    """Of each true class (row) and answer (column), shape (classes, classes)."""

    def __call__(self, outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """Return the loss of each row; labels may be numbers of classes, or a share for each class."""
        log_probabilities = outputs.logits.float().log_softmax(1)
        costs, probabilities = self.costs.to(log_probabilities.device), log_probabilities.exp()
        shares = _smooth(_share_labels(batch["labels"], log_probabilities), label_smoothing)
        weights = costs.sum(1) / (len(costs) - 1)
        bound = shares * weights * (-log_probabilities - (1 - probabilities))
        return (bound + shares @ costs * probabilities).sum(1)


@dataclass(frozen=True, kw_only=True)
class LabelSetLoss:
    """Focal loss of rows with any number of labels: the mean over labels of torchvision's `sigmoid_focal_loss`."""

    gamma: float

    def __call__(self, outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """Return the loss of each row."""
        from torchvision.ops import sigmoid_focal_loss

        smooth = batch["labels"] * (1 - label_smoothing) + label_smoothing / 2
        losses: torch.Tensor = sigmoid_focal_loss(outputs.logits.float(), smooth, alpha=-1, gamma=self.gamma)
        return losses.mean(1)


@dataclass(frozen=True, kw_only=True)
class OwnLoss:
    """A function of the user's own: (logits, labels) → loss of each row; it may take `rows`, their numbers, too."""

    name: str
    function: Callable[..., Any]

    def __call__(self, outputs: Any, batch: Batch, label_smoothing: float) -> torch.Tensor:
        """Return what the function returns, in float32."""
        rows = {"rows": batch["row"]} if "rows" in inspect.signature(self.function).parameters else {}
        losses: torch.Tensor = self.function(outputs.logits.float(), batch["labels"], **rows)
        return losses.float()

    def check(self, batch: Batch, num_outputs: int) -> None:
        """Raise `InputError` where the function does not give one finite loss, with a gradient, for each row."""
        rows = len(batch["labels"])
        logits = torch.linspace(-1, 2, rows * num_outputs).reshape(rows, num_outputs).requires_grad_()
        try:
            losses = self(SimpleNamespace(logits=logits), batch, 0.0)
        except _MISTAKES as error:
            problem = f"{self.name}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            shapes = f"logits {tuple(logits.shape)} and labels {tuple(batch['labels'].shape)}"
            raise InputError(problem, f"it was called as `function(logits, labels)` with {shapes}", at=_AT) from error
        self._check_losses(losses, rows)
        (gradient,) = torch.autograd.grad(losses[0], logits)
        if not torch.isfinite(gradient).all():
            problem = f"{self.name}: the gradient of the loss is not finite"
            raise InputError(problem, "look at its logarithms, roots and divisions", at=_AT)
        if gradient[1:].any():
            problem = f"{self.name}: the loss of a row depends on the logits of another"
            raise InputError(problem, "a step is cut into parts, and so each row needs a loss of its own", at=_AT)

    def _check_losses(self, losses: torch.Tensor, num_rows: int) -> None:
        if losses.shape != (num_rows,):
            problem = f"{self.name} returns the shape {tuple(losses.shape)} for {num_rows} rows, not ({num_rows},)"
            raise InputError(problem, "return one loss for each row; torch's own take `reduction='none'`", at=_AT)
        if not torch.isfinite(losses).all():
            problem = f"{self.name} returns {losses.tolist()} for {num_rows} rows"
            raise InputError(problem, "look at its logarithms, roots and divisions", at=_AT)
        if not losses.requires_grad:
            hint = "compute it from the logits by torch, without `.item()`, `.detach()`, `argmax` or numpy"
            raise InputError(f"{self.name}: the loss has no gradient", hint, at=_AT)


def build_row_loss(
    objective: Objective, problem_type: ProblemType, label_names: Sequence[str], labels: np.ndarray | None
) -> RowLoss | None:
    """Return the loss of training rows; None where it is the task's own.

    `labels` are those of the training rows, None for a stream. Raises `InputError` for a loss that this kind of label
    cannot have, labels that are not there, and a function that cannot be found.
    """
    if objective.loss is not None:
        return OwnLoss(name=objective.loss, function=find_function(objective.loss, ("loss",)))
    _check_kind(objective, problem_type)
    gamma = objective.focal.gamma if objective.focal is not None else 0.0
    if problem_type == MULTI_LABEL:
        return LabelSetLoss(gamma=gamma) if gamma else None
    weights = _build_weights(objective, label_names, labels)
    if objective.costs is not None and weights is not None:
        return CostLoss(costs=weights)
    return None if weights is None and not gamma else ClassLoss(weights=weights, gamma=gamma)


def check_own_loss(data: Any, collate: Callable[..., Batch]) -> None:
    """Try a loss of the user's own on the first and the last training row; `data` are `TrainingData`."""
    if isinstance(data.row_loss, OwnLoss):
        last = len(data.train) - 1 if hasattr(data.train, "__len__") else 1
        data.row_loss.check(collate([data.train[row] for row in (0, last)]), len(data.label_names))


def lose_rows(
    lose_plainly: RowLoss, row_loss: RowLoss | None, outputs: Any, batch: Batch, label_smoothing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses of rows that train, and those to be compared with validation's, which are the task's own."""
    if row_loss is None:
        losses = compute_losses(lose_plainly, outputs, batch, label_smoothing)
        return losses, losses
    with torch.no_grad():
        plain = compute_losses(lose_plainly, outputs, batch, label_smoothing)
    return compute_losses(row_loss, outputs, batch, label_smoothing), plain


def describe_objective(objective: Objective, row_loss: RowLoss | None, label_names: Sequence[str]) -> list[str]:
    """Return what a reader of the results has to know of loss and weights; nothing where they are the plain ones."""
    kept = f"The weights are exponential moving averages of those that trained (decay {objective.ema_decay})."
    averages = [kept] if objective.ema_decay is not None else []
    if row_loss is None:
        return averages
    parts = [f"the loss {objective.loss}"] if objective.loss else []
    weights = row_loss.weights if isinstance(row_loss, ClassLoss) else None
    if weights is not None:
        told = [f"{name} {weight:.3g}" for name, weight in zip(label_names, weights.tolist(), strict=True)]
        parts.append(f"class weights ({', '.join(told[:10])}{', …' if len(told) > 10 else ''})")
    elif objective.class_weights is not None:
        parts.append("class weights")
    parts += ["costs of mistakes"] if objective.costs is not None else []
    parts += [f"focal loss (gamma {objective.focal.gamma:g})"] if objective.focal is not None else []
    return [f"Trained with {' and '.join(parts)}; the loss of validation and test is the plain one.", *averages]


def _check_kind(objective: Objective, problem_type: ProblemType) -> None:
    """Raise where labels of this kind cannot have this loss."""
    kind = problem_type.replace("_", " ")
    for name in ("class_weights", "costs"):
        if getattr(objective, name) is not None and problem_type != SINGLE_LABEL:
            problem = f"the labels are of the kind {kind}, and only rows of one class each have such weights"
            raise InputError(problem, "leave it out; a loss of your own is `loss: module:function`", at=(name,))
    if objective.focal is not None and problem_type not in (SINGLE_LABEL, MULTI_LABEL):
        hint = "leave it out; a loss of your own is `loss: module:function`"
        raise InputError(f"the labels are of the kind {kind}, which has no focal loss", hint, at=("focal",))


def _build_weights(objective: Objective, label_names: Sequence[str], labels: np.ndarray | None) -> torch.Tensor | None:
    """Return the weight of each class, or what its mistakes cost; None where the objective names neither."""
    if objective.class_weights is None and objective.costs is None:
        return None
    counts = None if labels is None else np.bincount(labels, minlength=len(label_names)).astype(np.float64)
    weights = read_class_weights(objective.class_weights or {}, label_names, counts)
    if objective.costs is not None:
        weights = weights[:, None] * read_costs(objective.costs, label_names)
    return torch.from_numpy(normalise(weights, counts)).float()


def _share_labels(labels: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the share of each class in each row's label, shape (rows, classes)."""
    return labels.to(like.dtype) if labels.ndim == 2 else F.one_hot(labels, like.shape[1]).to(like.dtype)


def _smooth(shares: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    return shares * (1 - label_smoothing) + label_smoothing / shares.shape[1]
