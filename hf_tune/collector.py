"""Python's garbage collector while the libraries are imported: it would look through them over and over for nothing.

Importing torch, transformers and PEFT makes a million objects that stay. The collector took 3 of the 8 seconds before
the first step (2-core CPU, Python 3.11, torch 2.15, transformers 5.23).
"""

import atexit
import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def imports_set_aside() -> Iterator[None]:
    """Collect nothing while the context lasts, and never look again at what is there at its end.

    Only where torch is not imported yet: in a process that begins, which has no garbage to speak of.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else nanobind, which triton is built with, reports leaks when the process ends
        gc.enable()
