"""What of a recipe depends on the labels of its data: the loss of rows, decisions, and the metric that chooses."""

from hf_tune.data.splits import Splits
from hf_tune.input_error import InputError
from hf_tune.recipe.schema import Recipe
from hf_tune.results.classification_metrics import find_missing_metrics
from hf_tune.results.decision import check_decision
from hf_tune.task import SINGLE_LABEL, Task
from hf_tune.training.row_loss import RowLoss, build_row_loss
from hf_tune.training.training_data import count_rows


def find_row_loss(recipe: Recipe, splits: Splits) -> RowLoss | None:
    """Return the loss of training rows that the objective asks for; None where it is the task's own."""
    labels = None if count_rows(splits.train) is None else splits.train.get_labels().get("labels")
    return build_row_loss(recipe.objective, splits.problem_type, splits.label_names, labels)


def check_scores(recipe: Recipe, task: Task, splits: Splits) -> None:
    """Raise where the best checkpoint, or a decision, is chosen by what this kind of label does not have."""
    with recipe.blame("decision"):
        check_decision(recipe.decision, splits.label_names, splits.validation.get_labels())
    missing = find_missing_metrics(len(splits.label_names)) if splits.problem_type == SINGLE_LABEL else ()
    known = ("loss", *(name for name in task.metric_names[splits.problem_type] if name not in missing))
    metric = str(recipe.training.get("metric_for_best_model") or "loss").removeprefix("eval_")
    if metric not in known:
        block, key = ("early_stopping", "metric") if recipe.early_stopping else ("training", "metric_for_best_model")
        kind = f"{splits.problem_type}, {len(splits.label_names)} of them"
        problem = f"the labels are of the kind {kind}, which has no metric {metric!r}"
        with recipe.blame(block):
            raise InputError(problem, f"it has: {', '.join(known)}", at=(key,))
