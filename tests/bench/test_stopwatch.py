"""The stopwatch of training steps."""

import pytest

from tests.bench.stopwatch import Stopwatch


def test_time_counts_from_the_end_of_the_warm_up_to_the_end_of_the_last_step() -> None:
    watch = Stopwatch(steps=5, warmup=2, rows_per_step=8)
    watch.stamps = [1.0, 3.0, 4.0, 7.0, 9.0]
    assert watch.is_done
    assert watch.read() == {
        "seconds": 6.0,
        "rows_per_second": pytest.approx(3 * 8 / 6),
        "milliseconds_per_step": pytest.approx(2000.0),
    }


def test_a_watch_is_done_after_its_last_step() -> None:
    watch = Stopwatch(steps=2, warmup=1, rows_per_step=8)
    watch.stamp()
    assert not watch.is_done
    watch.stamp()
    assert watch.is_done
