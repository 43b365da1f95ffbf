"""A loader of one's own: scikit-learn's handwritten digits (8 x 8 pixels, 1,797 rows) as a DatasetDict."""

import datasets
import numpy as np
import PIL.Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def load(test_fraction: float = 0.2) -> datasets.DatasetDict:
    """Return train and test with an `image` (grey, 8 x 8) and a `label` from 0 to 9; the cut is always the same."""
    digits = load_digits()
    pictures = (digits.images * (255 / 16)).round().astype(np.uint8)
    train, test = train_test_split(
        np.arange(len(pictures)), test_size=test_fraction, stratify=digits.target, random_state=0
    )
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)])}
    )

    def build(rows: np.ndarray) -> datasets.Dataset:
        columns = {
            "image": [PIL.Image.fromarray(pictures[row]) for row in rows],
            "label": digits.target[rows].tolist(),
        }
        return datasets.Dataset.from_dict(columns, features=features)

    return datasets.DatasetDict({"train": build(np.sort(train)), "test": build(np.sort(test))})
