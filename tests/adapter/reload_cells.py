"""Load many saved adapters with plain PEFT in one fresh process: python reload_cells.py FOLDER.

FOLDER/cells.json lists folder, base, auto class and number of labels; inputs.npz holds the inputs of each kind.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch


def main(folder: Path) -> None:
    """Write outputs.npz: cell → logits."""
    import transformers
    from peft import PeftModel

    import hf_tune  # noqa: F401  makes the bottleneck method known to PEFT

    torch.manual_seed(int.from_bytes(os.urandom(4), "little"))
    transformers.logging.set_verbosity_error()
    outputs = {}
    stored = np.load(folder / "inputs.npz")
    for cell in json.loads((folder / "cells.json").read_text()):
        auto_class = getattr(transformers, cell["auto_class"])
        config = transformers.AutoConfig.from_pretrained(folder / cell["name"])
        base = auto_class.from_pretrained(cell["base"], config=config, ignore_mismatched_sizes=True)
        model = PeftModel.from_pretrained(base, folder / cell["name"]).eval()
        kind = "pixel_values" if "Image" in cell["auto_class"] else "input_ids"
        with torch.no_grad():
            outputs[cell["name"]] = model(**{kind: torch.from_numpy(stored[kind])}).logits.numpy()
    np.savez(folder / "outputs.npz", **outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
