"""hf_tune.run that writes the time of its first step into a file, and ends there.

python -m tests.bench.first_step FILE RECIPE [block.key=value …]

What is imported here first is what a run imports anyway, so that the time is that of `python -m hf_tune.run`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    """Run the recipe with a progress line that ends the process at the first step."""
    from hf_tune import run
    from hf_tune.training import trainer

    class Stamp(trainer.Progress):
        """Ends the process: what a run does after its first step is not looked at."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            Path(sys.argv[1]).write_text(repr(time.time()))
            os._exit(0)

    trainer.Progress = Stamp
    return run.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
