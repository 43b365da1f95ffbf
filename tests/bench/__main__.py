"""How fast hf_tune is, and how much memory it takes, against what people would write without it.

python -m tests.bench [P1 P2 …] [--rounds 6] [--threads N] [--small] [--output FOLDER]

From the repository root, on a machine that does nothing else. Every contestant runs in a fresh process in every round,
for memory peaks and OpenMP's slow mode belong to a process; rounds are interleaved, each in another order; a ratio is
taken within each round, and the median over rounds with its range is what counts. A process that took more than 2.5
times its contestant's median had fallen into the slow mode: it is named and left out. Memory, probes and the launches
of two processes run in fewer rounds.

Writes bench.md and bench.json into FOLDER (outputs/bench). Data and checkpoints are those of ../shared, or of
HF_TUNE_SHARED; where they are not there, generated ones of the same kind, and the table says so. `--small` is one
round of a few steps on generated data with one thread: it shows that everything works.

measures.py lists the contestants, what they are compared by, and the targets; the contest_*.py files are the
contestants, each written as its users write it.
"""

import argparse
import datetime
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.measures import list_contestants, list_figures
from tests.bench.processes import Place, import_everything
from tests.bench.rounds import Contestant, Figure, compare, find_failed, find_slow, leave_out, order_round
from tests.bench.table import as_json, find_missed, format_table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return 1 where a process failed, else 0; missed targets are said."""
    options = _read_command_line(argv)
    figures = [each for each in list_figures() if not options.measures or each.measure in options.measures]
    rounds = 1 if options.small else options.rounds
    if options.small:
        import_everything()
    with tempfile.TemporaryDirectory(prefix="hf_tune_bench_") as work:
        place = Place(work=Path(work).resolve(), small=options.small, threads=1 if options.small else options.threads)
        prepared = place.run(Contestant(name="material", run="material.prepare"), 0)
        if "not_measured" in prepared:
            raise RuntimeError(f"no data: {prepared['not_measured']}")
        contestants = _choose(figures, prepared["gpu"] is not None)
        outcomes = _run_rounds(place, contestants, rounds)
    slow = find_slow(outcomes)
    kept = leave_out(outcomes, slow)
    results = [compare(figure, _without_gpu(kept, prepared["gpu"])) for figure in figures]
    described = {
        **{
            name: prepared[name] for name in ("commit", "cpu", "cores", "gpu", "python", "versions", "real", "threads")
        },
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "rounds": rounds,
        "small": options.small,
        "slow": slow,
        "failed": find_failed(outcomes),
        "contestants": {name: _summarise(each) for name, each in kept.items()},
    }
    page = format_table(results, described)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "bench.md").write_text(page)
    (options.output / "bench.json").write_text(json.dumps({**as_json(results, described), "outcomes": outcomes}))
    missed = find_missed(results)
    print(page, *[f"missed: {each}" for each in missed], sep="\n", flush=True)
    return int(any("the process failed" in reason for *_, reason in described["failed"]))


def _read_command_line(argv: Sequence[str] | None) -> argparse.Namespace:
    known = sorted({each.measure for each in list_figures()}, key=lambda name: (int(name[1:].strip("b")), name))
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the speed of hf_tune.")
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"{' '.join(known)}; all where none is given")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, help="of each process; torch's default, all cores, where left out")
    parser.add_argument("--small", action="store_true", help="one quick round that shows that everything works")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"))
    options = parser.parse_args(argv)
    if unknown := set(options.measures) - set(known):
        parser.error(f"no measure {', '.join(sorted(unknown))}; known: {' '.join(known)}")
    return options


def _choose(figures: Sequence[Figure], has_gpu: bool) -> list[Contestant]:
    """Return the contestants that the figures need and that can run here."""
    names = {name for figure in figures for name in figure.contestants}
    chosen = [each for name, each in list_contestants().items() if name in names]
    return [each for each in chosen if has_gpu or each.options.get("device") != "cuda"]


def _run_rounds(
    place: Place, contestants: Sequence[Contestant], rounds: int
) -> dict[str, list[Mapping[str, Any] | None]]:
    """Return what each contestant measured in each round; a line is printed for every process."""
    by_name = {each.name: each for each in contestants}
    outcomes: dict[str, list[Mapping[str, Any] | None]] = {name: [] for name in by_name}
    begin, number = time.monotonic(), 1
    for contestant in contestants:
        if contestant.cache == "primed" and not place.small:
            place.run(contestant, number)
            number += 1
    for each in range(rounds):
        for name in order_round(contestants, each):
            contestant = by_name[name]
            if contestant.max_rounds is not None and each >= max(contestant.max_rounds * rounds // 6, 1):
                outcomes[name].append(None)
                continue
            start = time.monotonic()
            found = place.run(contestant, number)
            number += 1
            outcomes[name].append(found)
            words = found.get("not_measured") or f"{found.get('seconds', 0.0):.2f} s measured"
            seconds = f"{time.monotonic() - start:.0f} s of {time.monotonic() - begin:.0f} s"
            print(f"round {each + 1}/{rounds}, {name}: {words} ({seconds})", file=sys.stderr, flush=True)
    return outcomes


def _without_gpu(
    outcomes: Mapping[str, list[Mapping[str, Any] | None]], gpu: str | None
) -> dict[str, list[Mapping[str, Any] | None]]:
    """Return the outcomes with the reason why contestants of a GPU have none."""
    on_gpu = [name for name, each in list_contestants().items() if each.options.get("device") == "cuda"]
    missing = {name: [{"not_measured": "no GPU"}] for name in on_gpu if gpu is None}
    return {**outcomes, **missing}


def _summarise(rounds: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return the medians over rounds of every number that a contestant gave."""
    numbers: dict[str, list[float]] = {}
    counted = [each for each in rounds if each and "not_measured" not in each]
    for each in counted:
        for name, value in each.items():
            numbers.setdefault(name, []).append(float(value))
    return {"rounds": len(counted), **{name: statistics.median(values) for name, values in numbers.items()}}


if __name__ == "__main__":
    sys.exit(main())
