"""Which of two classes is the positive one: the second, and `data.positive:` puts another one there."""

import numpy as np

from hf_tune.input_error import InputError


AT = ("positive",)


def put_positive_last(
    names: tuple[str, ...], labels: dict[str, np.ndarray], positive: str | int | None
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return names and labels of each split, numbered so that the positive one of two classes is number 1.

    `positive` None: they stay as they are. Raises `InputError` where there are not two classes, or none of them has
    this name.
    """
    if positive is None:
        return names, labels
    if len(names) != 2 or any(each.ndim != 1 or each.dtype != np.int64 for each in labels.values()):
        problem = f"only one of two classes can be positive, and the labels are {', '.join(names[:10])}"
        raise InputError(problem, "leave it out", at=AT)
    if str(positive) not in names:
        raise InputError(f"no class is called {str(positive)!r}", f"the classes: {', '.join(names)}", at=AT)
    if names[1] == str(positive):
        return names, labels
    return names[::-1], {name: 1 - each for name, each in labels.items()}
