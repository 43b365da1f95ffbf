"""The table and the JSON of a benchmark."""

import json

import pytest

from tests.bench.rounds import Figure, Result
from tests.bench.table import as_json, find_missed, format_table


RATIO = Figure(
    measure="P2", title="rate", quantity="rows_per_second", above="ours", below=("a loop", "a script"), at_least=1.3
)
UPPER = Figure(measure="P6", title="peak", quantity="peak_mib", above="ours", below=("a loop",), at_most=1.05)
RESULTS = (
    Result(figure=RATIO, values=(1.2, 1.25, 1.4), opponent="a loop"),
    Result(figure=UPPER, values=(1.0,), opponent="a loop"),
    Result(figure=UPPER, problem="not measured: ours: no GPU"),
)


@pytest.fixture
def described() -> dict[str, object]:
    return {
        "date": "2026-11-25",
        "commit": "abc",
        "cpu": "a processor",
        "cores": 2,
        "gpu": None,
        "threads": 2,
        "versions": {"torch": "2.15"},
        "rounds": 3,
        "small": False,
        "real": {"cifar10": True, "vit_small": False},
        "slow": [("ours", 1, 6.2)],
        "failed": [("theirs", 0, "the process failed: it fell")],
        "contestants": {"ours": {"rounds": 2, "seconds": 3.0, "peak_mib": 512.25, "cpu_seconds": 9.0}},
    }


def test_the_table_shows_median_range_target_and_whether_it_is_met(described: dict[str, object]) -> None:
    page = format_table(RESULTS, described)
    assert "| P2 | rate (against a loop) | 1.25 (1.2 to 1.4) | ≥ 1.3 | **no** | 3 |" in page
    assert "| P6 | peak | 1 | ≤ 1.05 | yes | 1 |" in page
    assert "| P6 | peak | not measured: ours: no GPU | ≤ 1.05 |  | 0 |" in page
    assert "| ours | 2 | 3 |  |  | 512.2 | 9 |" in page


def test_the_table_says_where_it_was_measured_what_is_real_and_what_was_left_out(described: dict[str, object]) -> None:
    page = format_table(RESULTS, described)
    assert "2026-11-25, a processor, 2 cores, 2 threads each, no GPU; torch 2.15, commit abc." in page
    assert "Real data and checkpoints: cifar10; made here: vit_small." in page
    assert "- ours, round 2: 6.2 times its median" in page
    assert "- theirs, round 1: the process failed: it fell" in page
    assert "quick form" not in page and "quick form" in format_table(RESULTS, {**described, "small": True})


def test_missed_targets_and_missing_values_are_named() -> None:
    assert find_missed(RESULTS) == ["P2: rate: 1.25, target ≥ 1.3", "P6: peak: not measured: ours: no GPU"]


def test_the_json_holds_every_value(described: dict[str, object]) -> None:
    figures = json.loads(json.dumps(as_json(RESULTS, described)))["figures"]
    assert (figures[0]["median"], figures[0]["min"], figures[0]["max"]) == (1.25, 1.2, 1.4)
    assert figures[0]["below"] == "a loop" and figures[0]["met"] is False
    assert figures[2]["median"] is None and figures[2]["problem"] == "not measured: ours: no GPU"
