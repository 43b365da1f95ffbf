"""The collector rests while the libraries are imported, and only then."""

import gc
import subprocess
import sys

import pytest

from hf_tune.collector import imports_set_aside


def test_nothing_changes_where_torch_is_there_already() -> None:
    import torch  # noqa: F401

    with imports_set_aside():
        assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("ending", ["pass", "raise ValueError"])
def test_the_collector_rests_and_works_again_after_an_error_too(ending: str) -> None:
    code = f"""if True:
        import gc
        from hf_tune.collector import imports_set_aside
        try:
            with imports_set_aside():
                assert not gc.isenabled()
                with imports_set_aside():
                    pass
                assert not gc.isenabled()
                {ending}
        except ValueError:
            print("raised")
        assert gc.isenabled() and gc.get_freeze_count() > 0
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ("" if ending == "pass" else "raised\n")


def test_what_was_set_aside_is_given_back_at_the_end_of_the_process() -> None:
    """nanobind reported leaks of triton's bindings on stderr where it was not."""
    code = """if True:
        import atexit, gc
        atexit.register(lambda: print(gc.get_freeze_count()))
        from hf_tune.collector import imports_set_aside
        with imports_set_aside():
            pass
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
