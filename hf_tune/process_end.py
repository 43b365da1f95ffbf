"""How a process of a run speaks and ends: what concerns all of them is said once."""

import logging
import os
import sys
import time

from hf_tune.input_error import InputError, PushFailed


SECONDS = 10.0
"""How long a process waits with its words: where the first one has the same, the launcher ends this one meanwhile."""


def start_logging() -> None:
    """Let warnings be said by the first process alone."""
    level = logging.WARNING if get_rank() == 0 else logging.ERROR
    logging.basicConfig(format="%(levelname)s: %(message)s", level=level)


def end_run(error: Exception | None = None) -> int:
    """Say what ended the run and return the exit code: 0 done, 2 the input is wrong, 3 not pushed, 1 stopped."""
    rank = get_rank()
    if error is not None and str(error):
        if rank:
            time.sleep(SECONDS)
        print(f"process {rank}: {error}" if rank else error, file=sys.stderr, flush=True)
    if "torch" in sys.modules:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return get_exit_code(error)


def get_exit_code(error: Exception | None) -> int:
    """Return what a command ends with: 0 done, 2 the input is wrong, 3 trained and saved but not pushed, 1 stopped."""
    codes = {InputError: 2, PushFailed: 3}
    return 0 if error is None else next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def get_rank() -> int:
    """Return which of the processes of a launch this one is; 0 where it was started alone."""
    return int(os.environ.get("RANK", "0"))
