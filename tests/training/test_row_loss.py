"""The loss of each training row: against torch, torchvision, and numbers worked out by hand."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hf_tune.input_error import InputError
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from hf_tune.tasks.image_classification import TASK
from hf_tune.training.objective import Focal, Objective
from hf_tune.training.row_loss import (
    ClassLoss,
    CostLoss,
    OwnLoss,
    build_row_loss,
    check_own_loss,
    describe_objective,
    lose_rows,
)


NAMES = ("a", "b", "c")
LABELS = np.array([0] * 6 + [1] * 3 + [2])


def draw(rows: int = 5, classes: int = 3) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return the output of a network and a batch."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, classes, generator=generator)
    return SimpleNamespace(logits=logits), {"labels": torch.arange(rows) % classes, "row": torch.arange(rows)}


def build(**objective: Any) -> Any:
    return build_row_loss(Objective(**objective), SINGLE_LABEL, NAMES, LABELS)


def minimise(loss: Any, shares: torch.Tensor, steps: int = 300) -> torch.Tensor:
    """Return the probabilities that give the least loss to inputs whose labels have these shares, one input a row."""
    logits = torch.zeros_like(shares, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
        optimiser.zero_grad()
        loss(SimpleNamespace(logits=logits), {"labels": shares}, 0.0).sum().backward()
        optimiser.step()
    return logits.detach().softmax(1)


def test_without_a_word_the_loss_is_the_tasks_own() -> None:
    assert build() is None and build(layer_decay=0.5) is None
    assert build_row_loss(Objective(), REGRESSION, NAMES, np.array([0.5, 1.5])) is None
    assert build_row_loss(Objective(), MULTI_LABEL, NAMES, np.eye(3)) is None
    outputs, batch = draw()
    losses, plain = lose_rows(TASK.loss, None, outputs, batch, 0.1)
    assert losses is plain and torch.equal(losses, TASK.loss(outputs, batch, 0.1))


def test_weighted_rows_are_those_of_torch() -> None:
    outputs, batch = draw()
    losses = build(class_weights={"b": 3, "c": 5})(outputs, batch, 0.0)
    weights = torch.tensor([0.5, 1.5, 2.5])  # of 6, 3 and 1 rows, with the mean 1
    assert torch.allclose(losses, F.cross_entropy(outputs.logits, batch["labels"], weight=weights, reduction="none"))


def test_the_weight_of_a_row_is_that_of_its_label_under_label_smoothing_too() -> None:
    """pytorch#104776: torch weighs what smoothing spreads by the classes that it is spread to."""
    outputs, batch = draw()
    losses = build(class_weights={"b": 3, "c": 5})(outputs, batch, 0.2)
    smooth = F.cross_entropy(outputs.logits, batch["labels"], reduction="none", label_smoothing=0.2)
    weights = torch.tensor([0.5, 1.5, 2.5])
    assert torch.allclose(losses, weights[batch["labels"]] * smooth)
    torchs = F.cross_entropy(outputs.logits, batch["labels"], weight=weights, reduction="none", label_smoothing=0.2)
    assert not torch.allclose(losses, torchs)  # once torch mends it this fails, and `ClassLoss` may be torch's


def test_balanced_weights_let_an_epoch_be_the_mean_over_classes() -> None:
    outputs = SimpleNamespace(logits=torch.randn(10, 3, generator=torch.Generator().manual_seed(1)))
    batch = {"labels": torch.from_numpy(LABELS)}
    plain = F.cross_entropy(outputs.logits, batch["labels"], reduction="none")
    expected = torch.stack([plain[batch["labels"] == number].mean() for number in range(3)]).mean()
    assert build(class_weights="balanced")(outputs, batch, 0.0).mean() == pytest.approx(expected.item())


def test_the_focal_loss_by_hand() -> None:
    outputs = SimpleNamespace(logits=torch.log(torch.tensor([[0.9, 0.05, 0.05], [0.2, 0.5, 0.3]])))
    losses = build(focal=Focal(gamma=2))(outputs, {"labels": torch.tensor([0, 0])}, 0.0)
    assert losses.tolist() == pytest.approx([0.01 * -math.log(0.9), 0.64 * -math.log(0.2)], rel=1e-5)
    weighted = build(focal=Focal(gamma=2), class_weights={"b": 3, "c": 5})(
        outputs, {"labels": torch.tensor([0, 2])}, 0.0
    )
    assert weighted[1] == pytest.approx(2.5 * 0.49 * -math.log(0.3), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_focal_loss_that_is_nearly_none_has_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0], [0.0, 200.0, 0.0]], requires_grad=True)
    losses = build(focal=Focal(gamma=gamma))(SimpleNamespace(logits=logits), {"labels": torch.tensor([0, 0])}, 0.1)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert torch.isfinite(losses).all() and torch.isfinite(gradient).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_focal_loss_of_any_number_of_labels_by_hand(smoothing: float) -> None:
    loss = build_row_loss(Objective(focal=Focal(gamma=2)), MULTI_LABEL, NAMES, LABELS)
    assert loss is not None
    labels, odds = torch.tensor([[1.0, 0.0]]), torch.log(torch.tensor([[0.8 / 0.2, 0.3 / 0.7]]))
    losses = loss(SimpleNamespace(logits=odds), {"labels": labels}, smoothing)
    if smoothing == 0:
        assert losses.item() == pytest.approx((0.2**2 * -math.log(0.8) + 0.3**2 * -math.log(0.7)) / 2, rel=1e-5)
    else:  # of targets 0.9 and 0.1: the cross-entropy, and 1 - p_t with p_t = p t + (1 - p) (1 - t)
        first = (1 - (0.8 * 0.9 + 0.2 * 0.1)) ** 2 * -(0.9 * math.log(0.8) + 0.1 * math.log(0.2))
        second = (1 - (0.3 * 0.1 + 0.7 * 0.9)) ** 2 * -(0.1 * math.log(0.3) + 0.9 * math.log(0.7))
        assert losses.item() == pytest.approx((first + second) / 2, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_costs_of_two_classes_weigh_the_cross_entropy_by_what_missing_one_costs(smoothing: float) -> None:
    outputs, batch = draw(classes=2)
    loss = CostLoss(costs=torch.tensor([[0.0, 2.0], [7.0, 0.0]]))
    expected = F.cross_entropy(outputs.logits, batch["labels"], weight=torch.tensor([2.0, 7.0]), reduction="none")
    if smoothing:  # the expected cost of a label that is another one in a tenth of the rows
        other = F.cross_entropy(outputs.logits, 1 - batch["labels"], weight=torch.tensor([2.0, 7.0]), reduction="none")
        expected = 0.9 * expected + 0.1 * other
    assert torch.allclose(loss(outputs, batch, smoothing), expected, atol=1e-5)


def test_costs_by_hand() -> None:
    outputs = SimpleNamespace(logits=torch.log(torch.tensor([[0.2, 0.5, 0.3]])))
    loss = CostLoss(costs=torch.tensor([[0.0, 10.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]))
    losses = loss(outputs, {"labels": torch.tensor([0])}, 0.0)
    assert losses.item() == pytest.approx(10 * 0.5 + 1 * 0.3 + 5.5 * (-math.log(0.2) - 0.8), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_equal_costs_leave_the_plain_cross_entropy(smoothing: float) -> None:
    outputs, batch = draw()
    losses = build(costs=[[0, 5, 5], [5, 0, 5], [5, 5, 0]])(outputs, batch, smoothing)
    assert torch.allclose(losses, TASK.loss(outputs, batch, smoothing), atol=1e-5)


def test_the_loss_is_never_below_the_expected_cost() -> None:
    outputs, batch = draw(rows=200)
    costs = 20 * torch.rand(3, 3, generator=torch.Generator().manual_seed(2)) * (1 - torch.eye(3))
    expected = (costs[batch["labels"]] * outputs.logits.softmax(1)).sum(1)
    losses = CostLoss(costs=costs)(outputs, batch, 0.0)
    assert (losses >= expected).all()
    certain = SimpleNamespace(logits=30 * F.one_hot(batch["labels"], 3).float())
    assert CostLoss(costs=costs)(certain, batch, 0.0).max() < 1e-5


def test_answers_cost_less_than_those_of_weights_and_of_plain_cross_entropy() -> None:
    """Inputs of known class shares: what the likeliest answer costs beyond the best one."""
    torch.manual_seed(0)
    excess: dict[str, list[float]] = {"plain": [], "weights": [], "costs": []}
    for _ in range(5):
        shares = torch.distributions.Dirichlet(torch.ones(4)).sample((100,))
        costs = (1 + 19 * torch.rand(4, 4) ** 3) * (1 - torch.eye(4))
        expected = shares @ costs
        found = {"plain": shares, "weights": shares * costs.sum(1), "costs": minimise(CostLoss(costs=costs), shares)}
        for name, probabilities in found.items():
            answered = expected.gather(1, probabilities.argmax(1, keepdim=True))[:, 0]
            excess[name] += (answered - expected.min(1).values).tolist()
    plain, weights, by_costs = (float(np.mean(excess[name])) for name in ("plain", "weights", "costs"))
    assert by_costs < 0.7 * weights < 0.7 * plain


def test_a_row_that_is_wholly_wrong_still_has_the_gradient_of_its_weight() -> None:
    logits = torch.tensor([[0.0, 200.0, 0.0]], requires_grad=True)
    costs = torch.tensor([[0.0, 7.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    loss = CostLoss(costs=costs)(SimpleNamespace(logits=logits), {"labels": torch.tensor([0])}, 0.0)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.tolist()[0] == pytest.approx([-4.0, 4.0, 0.0], abs=1e-5)


def test_a_label_may_be_shared_out() -> None:
    outputs, _ = draw(rows=1)
    shares = {"labels": torch.tensor([[0.25, 0.75, 0.0]])}
    for loss in (build(class_weights="balanced"), build(costs={"a": {"b": 9}})):
        each = torch.cat([loss(outputs, {"labels": torch.tensor([number])}, 0.0) for number in range(2)])
        mixed = loss(outputs, shares, 0.0)
        if isinstance(loss, CostLoss):
            assert mixed.item() == pytest.approx(0.25 * each[0].item() + 0.75 * each[1].item())
        else:  # the weight of the mean label times the mean loss
            weights = loss.weights
            loss_of = each / weights[:2]
            expected = (0.25 * weights[0] + 0.75 * weights[1]) * (0.25 * loss_of[0] + 0.75 * loss_of[1])
            assert mixed.item() == pytest.approx(expected.item())


def test_class_weights_and_costs_multiply() -> None:
    loss = build(class_weights={"a": 2}, costs=[[0, 1, 1], [3, 0, 1], [1, 1, 0]])
    assert isinstance(loss, CostLoss)
    # Rows: 6 of mean cost 2, 3 of 2, 1 of 1: the mean is 1.9.
    assert torch.allclose(loss.costs, torch.tensor([[0, 2, 2], [3, 0, 1], [1, 1, 0]]) / 1.9)


@pytest.mark.parametrize(
    ("objective", "kind", "words"),
    [
        (Objective(class_weights="balanced"), REGRESSION, "kind regression, and only rows of one class"),
        (Objective(class_weights="balanced"), MULTI_LABEL, "kind multi label classification"),
        (Objective(costs={"a": {"b": 2}}), MULTI_LABEL, "only rows of one class"),
        (Objective(focal=Focal()), REGRESSION, "has no focal loss"),
    ],
)
def test_a_loss_that_the_labels_cannot_have_is_told(objective: Objective, kind: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        build_row_loss(objective, kind, NAMES, LABELS)
    assert caught.value.at[0] in objective.list_changes()


def test_the_labels_of_a_stream_are_not_counted() -> None:
    with pytest.raises(InputError, match="not counted"):
        build_row_loss(Objective(class_weights="balanced"), SINGLE_LABEL, NAMES, None)
    loss = build_row_loss(Objective(class_weights={"a": 4}), SINGLE_LABEL, NAMES, None)
    assert isinstance(loss, ClassLoss) and loss.weights is not None
    assert loss.weights.tolist() == pytest.approx([2.0, 0.5, 0.5])


def test_what_is_compared_with_validation_is_the_plain_loss_without_a_gradient() -> None:
    outputs, batch = draw()
    outputs.logits.requires_grad_()
    losses, plain = lose_rows(TASK.loss, build(class_weights="balanced"), outputs, batch, 0.0)
    assert torch.equal(plain, TASK.loss(outputs, batch, 0.0)) and not torch.allclose(plain, losses)
    assert losses.requires_grad and not plain.requires_grad


def hinge(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.multi_margin_loss(logits, labels, reduction="none")


def by_number(logits: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels, reduction="none") * (1 + rows)


def check(function: Any, num_outputs: int = 3) -> None:
    _, batch = draw(rows=2)
    OwnLoss(name="mine:loss", function=function).check(batch, num_outputs)


def test_a_loss_of_ones_own_is_called_and_may_take_the_numbers_of_the_rows() -> None:
    outputs, batch = draw()
    plain = F.cross_entropy(outputs.logits, batch["labels"], reduction="none")
    assert torch.equal(
        OwnLoss(name="x:y", function=hinge)(outputs, batch, 0.0), hinge(outputs.logits, batch["labels"])
    )
    numbered = OwnLoss(name="x:y", function=by_number)(outputs, batch, 0.0)
    assert torch.allclose(numbered, plain * torch.tensor([1, 2, 3, 4, 5]))
    check(hinge)
    check(by_number)
    check(lambda logits, labels: (logits[:, 0] - labels).abs(), 1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (F.cross_entropy, r"returns the shape \(\) for 2 rows, not \(2,\).*`reduction='none'`"),
        (lambda logits, labels: logits, r"returns the shape \(2, 3\)"),
        (lambda logits, labels: logits.argmax(1), "has no gradient; compute it from the logits by torch"),
        (lambda logits, labels: logits[:, 0].sub(logits[:, 0]).log(), "returns .*-inf.* for 2 rows"),
        (lambda logits, labels: (logits[:, 0] - logits[:, 0].detach()).abs().sqrt(), "the gradient .* is not finite"),
        (lambda logits, labels: (logits - logits.mean(0))[:, 0], "depends on the logits of another"),
        (lambda logits, labels: logits[:, labels.colour], r"AttributeError: .*called as .* logits \(2, 3\)"),
        (lambda logits: logits[:, 0], r"TypeError: .*takes 1 positional argument but 2 were given"),
        (lambda logits, labels: [0.5, 0.5], "AttributeError"),
    ],
)
def test_a_loss_of_ones_own_that_would_not_train_is_told_before_it_does(function: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"(?s)mine:loss.*{words}") as caught:
        check(function)
    assert caught.value.at == ("loss",)


def test_it_is_tried_on_the_first_and_the_last_row() -> None:
    seen: list[Any] = []

    def loss(logits: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(logits.shape), labels.tolist(), rows.tolist()))
        return F.cross_entropy(logits, labels, reduction="none")

    rows = [{"labels": torch.tensor(number % 3), "row": torch.tensor(number)} for number in range(6)]
    data = SimpleNamespace(row_loss=OwnLoss(name="a:b", function=loss), train=rows, label_names=NAMES)

    def collate(examples: Any) -> dict[str, torch.Tensor]:
        return {name: torch.stack([each[name] for each in examples]) for name in examples[0]}

    check_own_loss(data, collate)
    assert seen == [((2, 3), [0, 2], [0, 5])]
    check_own_loss(SimpleNamespace(row_loss=None), collate)


def test_a_reader_is_told_what_trained() -> None:
    def tell(**objective: Any) -> list[str]:
        made = Objective(**objective)
        return describe_objective(made, build_row_loss(made, SINGLE_LABEL, NAMES, LABELS), NAMES)

    assert tell() == []
    averages = "The weights are exponential moving averages of those that trained (decay 0.999)."
    assert tell(ema_decay=0.999) == [averages]
    assert tell(ema_decay=0.999, focal=Focal())[1] == averages
    plain = "; the loss of validation and test is the plain one."
    assert tell(class_weights={"b": 3, "c": 5}) == [f"Trained with class weights (a 0.5, b 1.5, c 2.5){plain}"]
    assert tell(focal=Focal(), class_weights={"b": 3, "c": 5})[0].endswith(f" and focal loss (gamma 2){plain}")
    assert tell(costs={"a": {"b": 2}}) == [f"Trained with costs of mistakes{plain}"]
    assert tell(loss="os.path:join") == [f"Trained with the loss os.path:join{plain}"]
