"""How a process of a run speaks and ends: what concerns all of them is said once."""

import logging
import os
import sys
import time

from hf_tune.command_output import tell_error
from hf_tune.input_error import InputError, PushFailed
from hf_tune.library_noise import quieten_loggers


SECONDS = 10.0
"""How long a process waits with its words: where the first one has the same, the launcher ends this one meanwhile."""


def start_logging() -> None:
    """Let warnings be said by the first process alone, and what nobody can act on by none."""
    quieten_loggers()
    level = logging.WARNING if get_rank() == 0 else logging.ERROR
    logging.basicConfig(format="%(levelname)s: %(message)s", level=level)


def end_run(error: Exception | None = None) -> int:
    """Say what ended the run and return the exit code: 0 done, 2 the input is wrong, 3 not pushed, 1 stopped."""
    rank = get_rank()
    if error is not None and str(error):
        if rank:
            time.sleep(SECONDS)
        tell_error(error, f"process {rank}: " if rank else "")
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
