"""One contestant in a process of its own.

python -m tests.bench.worker FILE.FUNCTION JSON    (JSON: work, small, options, and output, the file of the result)
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.job import Job
from tests.bench.process_memory import read_peak_mib


def main(argv: Sequence[str] | None = None) -> int:
    """Run a contestant and write what it returns, with the peak memory, processor time and threads of the process."""
    name, text = (sys.argv[1:] if argv is None else argv)[:2]
    told = json.loads(text)
    job = Job(work=Path(told["work"]), small=told["small"], options=told["options"])
    module, function = name.split(".")
    found = dict(getattr(importlib.import_module(f"tests.bench.{module}"), function)(job))
    found.setdefault("peak_mib", read_peak_mib())
    found["cpu_seconds"] = time.process_time()
    if "torch" in sys.modules:
        import torch

        found["threads"] = torch.get_num_threads()
    if os.environ.get("RANK", "0") == "0":
        Path(told["output"]).write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
