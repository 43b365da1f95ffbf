"""What the libraries say that nobody can act on."""

import logging
import subprocess
import sys

import pytest

from hf_tune.library_noise import quieten_bars, quieten_loggers


def test_the_bars_are_off() -> None:
    import datasets

    quieten_bars()
    assert datasets.are_progress_bars_disabled()


def test_importing_the_libraries_of_quantised_bases_says_nothing() -> None:
    """bitsandbytes 0.50 and torchao 0.18 log warnings on import, in every run where PEFT finds them."""
    code = "import hf_tune.library_noise as n; n.quieten_loggers(); import peft, bitsandbytes, torchao.quantization"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "bitsandbytes" not in done.stderr and "gemm_4bit" not in done.stderr and "pytree" not in done.stderr


def test_errors_are_still_told() -> None:
    quieten_loggers()
    assert logging.getLogger("bitsandbytes").isEnabledFor(logging.ERROR)


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, True), (False, False)])
def test_bars_of_what_is_sent_are_for_a_terminal_alone(
    is_terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    from hf_tune.library_noise import shown_transfers

    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    disable_progress_bars()
    try:
        with shown_transfers():
            assert are_progress_bars_disabled() is not shown
        assert are_progress_bars_disabled()
    finally:
        enable_progress_bars()
