"""Why a folder of pictures gave no classes: `datasets` finds them only where there are two folders of them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


_CURE = "put the pictures of each class into a folder of its name"


def describe_folders(load: Mapping[str, Any], column_names: Sequence[str]) -> str:
    """Return what is lacking and the cure, where a folder gave pictures and nothing else; else an empty string."""
    path = str(load["path"])
    root = (
        Path(str(load.get("data_dir") or "")) if path == "imagefolder" else Path(path, str(load.get("data_dir") or ""))
    )
    if list(column_names) != ["image"] or "data_files" in load or not root.is_dir():
        return ""
    if load.get("drop_labels"):
        return "leave `drop_labels` out"
    holding = sorted({Path(folder).name for folder, _, files in os.walk(root) if files and Path(folder) != root})
    if len(holding) == 1:
        return f"its pictures are all in one folder, {holding[0]!r}, and two classes are needed; {_CURE}"
    return f"its pictures are in no class folders; {_CURE}, or name a column of a table beside them"
