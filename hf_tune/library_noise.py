"""What the libraries say that nobody can act on, switched off by every command and by no import."""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator


def quieten_loggers() -> None:
    """Switch off telemetry and log lines; before the libraries are imported, as some speak at once.

    torchao 0.18 deprecates its own calls of torch; bitsandbytes 0.50 misses a package that it does not need, and says
    for every layer and step that it computes in half precision; PEFT 0.21 writes a card without metadata, which
    huggingface_hub remarks, and asks transformers 5.23 for an attribute that it calls deprecated; transformers passes
    on an argument of DistributedDataParallel that torch 2.15 calls deprecated. huggingface_hub remarks that a commit
    would change nothing, and that tables stand in a model's repository, as `hub.include_examples` asks. torch logs a
    traceback of its own where a fake tensor is refused, and raises the error as well.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported
    for name in ("bitsandbytes", "huggingface_hub.repocard", "huggingface_hub.hf_api", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", "It seems that you are about to commit a data file", UserWarning)
    warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)  # PEFT then sets it rightly


@contextlib.contextmanager
def shown_transfers() -> Iterator[None]:
    """Show bars of what is sent and fetched, which `quieten_bars` switches off, unless the environment says no."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    if constants.HF_HUB_DISABLE_PROGRESS_BARS or not sys.stderr.isatty():
        yield
        return
    enable_progress_bars()
    try:
        yield
    finally:
        disable_progress_bars()


def quieten_bars() -> None:
    """Switch off a bar for every file that is read or saved; imports the libraries."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.disable_progress_bar()
