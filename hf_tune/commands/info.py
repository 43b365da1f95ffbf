"""Say what a run is: task, method, base, scores, proof.

hf-tune info RUN
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hf_tune.command_output import run_command, say_result, tell_error
from hf_tune.input_error import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Print the summary of results.json; return 0, or 2 where there is none."""
    parser = argparse.ArgumentParser(prog="hf-tune info", description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="output_dir of a run")
    folder = Path(parser.parse_args(argv).run)
    try:
        from hf_tune.results.record import read_results

        results = read_results(folder)
    except InputError as error:
        tell_error(error)
        return 2
    if say_result(results):
        return 0
    cost, proof, base = results["cost"], results["proof"], results["base"]
    print(f"{results['task']} by {results['method']} from {base['id']} {base['revision'] or ''}".rstrip())
    data = results["data"]
    print(f"data: {data['name']}, rows {data['rows']}, fingerprint {data['fingerprint']}")
    parameters = f"{cost['trainable_parameters']:,} of {cost['total_parameters']:,} parameters"
    seconds = "" if cost["train_seconds"] is None else f", {cost['train_seconds']:.0f} s"
    print(f"trained: {parameters}{seconds}")
    for split, scores in results["splits"].items():
        for name, score in scores.items():
            interval = "" if score["low"] is None else f" ({score['low']:.4f} to {score['high']:.4f})"
            print(f"{split} {name}: {score['value']:.4f}{interval}")
    if results.get("positive"):
        print(f"positive class: {results['positive']}")
    if results.get("decision"):
        from hf_tune.results.decision import describe_threshold

        print(describe_threshold(results["decision"]))
    state = "passed" if proof["passed"] else "FAILED"
    print(f"proof: {state}, {proof['rows']} rows, max difference {proof['max_abs_difference']:.2g}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
