"""How a process of a run speaks and ends: what concerns all of them is said once."""

import logging
import os
import sys
import time

from hf_tune.input_error import InputError


SECONDS = 10.0
"""How long a process waits with its words: where the first one has the same, the launcher ends this one meanwhile."""


def start_logging() -> None:
    """Let warnings be said by the first process alone."""
    level = logging.WARNING if _get_rank() == 0 else logging.ERROR
    logging.basicConfig(format="%(levelname)s: %(message)s", level=level)


def end_run(error: Exception | None = None) -> int:
    """Say what ended the run and return the exit code: 0 done, 2 the input is wrong, 1 it was stopped."""
    rank = _get_rank()
    if error is not None and str(error):
        if rank:
            time.sleep(SECONDS)
        print(f"process {rank}: {error}" if rank else error, file=sys.stderr, flush=True)
    if "torch" in sys.modules:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 0 if error is None else 2 if isinstance(error, InputError) else 1


def _get_rank() -> int:
    return int(os.environ.get("RANK", "0"))
