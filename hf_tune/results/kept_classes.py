"""What evaluation keeps of a row that is one of several classes: the same few bytes however many classes there are."""

import torch

from hf_tune.task import Batch


MAX_TOP = 10
"""Where there are no more classes than this, every probability is kept."""


def keep_classes(logits: torch.Tensor, labels: torch.Tensor | None) -> Batch:
    """Return what metrics, tables and `predict` read of logits, shape (rows, classes), reduced on their device.

    `top_labels` (int32) and `top_log_probabilities` (float32), both of shape (rows, at most `MAX_TOP`), are the most
    probable classes, of equally probable ones the lowest first; `entropy` (float32, shape (rows,)) is in nats.
    `label_log_probability` (the same) is that of the true class; it is absent where there are no labels.
    """
    log_probabilities = logits.float().log_softmax(dim=1)
    # torch.topk leaves it open which of equal values comes first.
    values, order = log_probabilities.sort(dim=1, descending=True, stable=True)
    kept = {
        "top_labels": order[:, :MAX_TOP].int(),
        "top_log_probabilities": values[:, :MAX_TOP].clone(),  # a slice would hold on to the values of all classes
        "entropy": torch.special.entr(log_probabilities.exp()).sum(dim=1),
    }
    if labels is not None:
        kept["label_log_probability"] = log_probabilities.gather(1, labels[:, None])[:, 0]
    return kept
