"""The parts of a card that tell what results.json holds: model, labels, scores, data, training, proof."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote as quote_address

from hf_tune.hub.card_facts import CardFacts, format_number, reported_split
from hf_tune.markdown_text import escape, fence, quote
from hf_tune.task import MULTI_LABEL, REGRESSION, is_higher_better


MAX_LABELS = 30
"""More are in config.json alone."""
MAX_LINES = 45
"""A longer section of the task is folded."""


def describe_model(results: Mapping[str, Any]) -> str:
    """Return what the model is, and its headline score beside that of guessing."""
    base, baseline = results["base"], results["baseline"]
    split, scores = reported_split(results)
    name = quote(base["id"])
    if base["pretrained"]:
        revision = f" (revision {quote(base['revision'][:12])})" if base["revision"] else ""
        name = f"[{name}](https://huggingface.co/{base['id']})" if base["revision"] else name
        made = f"{name}{revision}, fine-tuned"
    else:
        made = f"The architecture of {name}, trained from its own initialisation,"
    purpose = results["pipeline_tag"].replace("-", " ")
    metric, score = baseline["metric"], scores[baseline["metric"]]
    return (
        f"{made} for {purpose} with hf_tune, method **{escape(results['method'])}**. "
        f"On {_count_rows(results, split)} {split} rows its {metric} is {_format_score(score, '95 % interval ')}; "
        f"always answering the {escape(baseline['name'])} would score {format_number(baseline['value'])}."
    )


def describe_labels(results: Mapping[str, Any]) -> str:
    """Return the labels, or of which number the output is."""
    names = results["label_names"]
    if results["problem_type"] == REGRESSION:
        return f"**Output**: a number, {quote(names[0])}."
    rest = f", … (all {len(names)} are in config.json)" if len(names) > MAX_LABELS else ""
    kind = "**Labels**, any number of them per row" if results["problem_type"] == MULTI_LABEL else "**Labels**"
    return f"{kind} ({len(names)}): {', '.join(quote(name) for name in names[:MAX_LABELS])}{rest}"


def describe_results(results: Mapping[str, Any], facts: CardFacts) -> str:
    """Return the scores of every split, what the task says of them, and the plots."""
    split, scores = reported_split(results)
    said = f"Reported are the {_count_rows(results, split)} rows of the {split} split; in brackets the 95 % interval."
    lower = [escape(name) for name in scores if not is_higher_better(name)]
    said += f" Less is better for {', '.join(lower)}." if lower else ""
    said += _tell_positive(results)
    section = facts.section.strip()
    if section.count("\n") > MAX_LINES:
        section = f"<details><summary>Class by class</summary>\n\n{section}\n\n</details>"
    plots = [f"![{escape(name.rpartition('.')[0])}](plots/{quote_address(name)})" for name in facts.plots]
    parts = (
        said,
        _tabulate_scores(results["splits"]),
        _tell_decision(results),
        _tell_linear(results),
        section,
        *plots,
    )
    return "\n\n".join(part for part in parts if part)


def describe_data(results: Mapping[str, Any]) -> str:
    """Return name, commit, rows and fingerprint of the data, and the notes on it."""
    data = results["data"]
    name = quote(data["name"])
    if data.get("id"):
        name = f"[{quote(data['id'])}](https://huggingface.co/datasets/{data['id']})"
    parts = [
        name,
        f"configuration {quote(data['config'])}" if data.get("config") else "",
        f"revision {quote(data['revision'])}" if data.get("revision") else "",
        f"fingerprint of the rows {quote(data['fingerprint'])}",
    ]
    rows = ", ".join(f"{_count_rows(results, split)} {split}" for split in data["rows"])
    notes = "\n".join(f"- {escape(note)}" for note in results.get("notes", ()))
    told = f"{', '.join(part for part in parts if part)}.\n\nRows: {rows}."
    return f"{told}\n\n{notes}" if notes else told


def describe_training(results: Mapping[str, Any], facts: CardFacts) -> str:
    """Return how the model was trained, the command, and the recipe word for word."""
    lines = [f"| {name} | {value} |" for name, value in _list_training(results) if value]
    return "\n\n".join(
        (
            "\n".join(["| what | value |", "|---|---|", *lines]),
            "The command:",
            fence(results["environment"]["command"], "sh"),
            "The recipe, which is `recipe.yaml` beside the model; running it repeats the run:",
            fence(facts.recipe, "yaml"),
        )
    )


def describe_proof(results: Mapping[str, Any], facts: CardFacts) -> str:
    """Return what comparing the saved model with the trained one found."""
    proof, verified = results["proof"], facts.verified
    if not proof["passed"]:
        difference = f"the outputs differ by {proof['max_abs_difference']:.2g}"
        return f"**The proof failed**: reloaded in a fresh process, {difference}. Do not use this model."
    told = (
        f"The saved files were loaded in a fresh process with another seed; on {proof['rows']} rows the outputs "
        f"{_compare(proof['max_abs_difference'])} those of the trained model."
    )
    told += " The SHA-256 of every saved file is in `results.json`." if results.get("files") else ""
    if verified is None:
        return told
    compared = f"on {verified['rows']} held-out rows the outputs {_compare(verified['max_abs_difference'])}"
    content = f"what stands here (commit {quote(verified['commit'])})"
    return (
        f"{told}\n\nOn {escape(verified['date'])} {content} was downloaded from the Hub to an empty cache and loaded "
        f"in a fresh process; {compared} those of the saved model."
    )


def _list_training(results: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield name and value of each line; an empty value is not known, or says nothing."""
    cost, place, base = results["cost"], results["environment"], results["base"]
    trained = f"{cost['trainable_parameters']:,} of {cost['total_parameters']:,} parameters"
    yield "method", f"{escape(results['method'])}: {trained} were trained"
    yield "steps", _tell_steps(results)
    yield "BatchNorm statistics", "" if results["batch_norm"] == "none" else escape(results["batch_norm"])
    if base.get("quantization"):
        yield (
            "base",
            f"quantised by {escape(base['quantization']['quant_method'])}; its weights are not in this folder",
        )
    if cost["train_seconds"] is not None:
        yield "time", f"{cost['train_seconds']:,.0f} s, {cost['examples_per_second']:,.0f} examples a second"
    counts = (_count(place["threads"], "thread", "threads"), _count(place["num_processes"], "process", "processes"))
    yield "device", f"{escape(place['device'])}, {', '.join(counts)}"
    yield "peak memory", f"{cost['peak_memory_mib']:,.0f} MiB"
    yield "seed", str(results["seed"])
    yield "resumed from", escape(results["resumed_from"]) if results.get("resumed_from") else ""
    yield "versions", ", ".join(f"{name} {version}" for name, version in place["versions"].items())


def _tell_steps(results: Mapping[str, Any]) -> str:
    if not results.get("steps"):
        return ""
    if not results.get("best_checkpoint"):
        return f"{results['steps']:,}"
    chosen = f"{escape(results['best_checkpoint'])}, the best on validation by {escape(results['chosen_by'])}"
    return f"{results['steps']:,}; what was saved is {chosen}"


def _tabulate_scores(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table: one row per metric, one column per split, intervals in brackets."""
    lines = [f"| metric | {' | '.join(splits)} |", "|---" * (len(splits) + 1) + "|"]
    for metric in dict.fromkeys(metric for scores in splits.values() for metric in scores):
        cells = [_format_score(scores[metric]) if metric in scores else "" for scores in splits.values()]
        lines.append(f"| {escape(metric)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _tell_positive(results: Mapping[str, Any]) -> str:
    """Return of which of two classes sensitivity and AUROC are."""
    names = results["label_names"]
    if not results.get("positive"):
        return ""
    return (
        f" {quote(names[1])} is the positive class: sensitivity is the share of its rows that are found, specificity "
        f"that of {quote(names[0])}; AUROC and average precision say how well its probability ranks the rows."
    )


def _tell_decision(results: Mapping[str, Any]) -> str:
    """Return from which probability on which class is answered, and who answers so."""
    found = results.get("decision")
    if not found:
        return ""
    said = f"**Decision**: {quote(found['positive'])} is answered from a probability of {found['value']:.4g} on"
    if found["rule"] != "given":
        said += f", chosen by {escape(found['rule'])} on {found['rows']:,} validation rows"
    said += (
        f" (there: sensitivity {format_number(found['sensitivity'])}, specificity "
        f"{format_number(found['specificity'])}). The scores above are of this decision"
    )
    if "test" not in results["splits"]:
        said += ", on the very rows that chose it" if found["rule"] != "given" else ""
    return (
        f"{said}. `load_finetuned` and `hf-tune predict` read it from `decision.json`; transformers, PEFT and timm do "
        "not, and answer the most probable class, as if it were 0.5."
    )


def _tell_linear(results: Mapping[str, Any]) -> str:
    """Return what logistic regression on frozen features scores beside, and whether the difference is chance."""
    linear = results.get("linear_baseline")
    if not linear:
        return ""
    split, _ = reported_split(results)
    score, difference = _format_score(linear["splits"][split]["accuracy"]), linear["difference"]
    low, high = difference["low"], difference["high"]
    verdict = "this model is better" if low > 0 else "this model is worse" if high < 0 else "it may be chance"
    answer = ", both answering the most probable class" if results.get("decision") else ""
    return (
        f"Logistic regression on the frozen features of the same checkpoint ({linear['rows']:,} training rows, "
        f"{linear['features']:,} features, C = {linear['strength']:g} chosen on validation) has accuracy "
        f"{score} on the same rows. This model's is {difference['value']:+.4f} from that (95 % interval "
        f"{low:+.4f} to {high:+.4f}, rows paired, p = {difference['p_value']:.2g}{answer}): {verdict}."
    )


def _format_score(score: Mapping[str, float | None], word: str = "") -> str:
    value, low, high = score["value"], score["low"], score["high"]
    shown = format_number(value or 0.0)
    return shown if low is None or high is None else f"{shown} ({word}{format_number(low)} to {format_number(high)})"


def _count_rows(results: Mapping[str, Any], split: str) -> str:
    rows = results["data"]["rows"][split]
    return "a stream of" if rows is None else f"{rows:,}"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _compare(difference: float) -> str:
    return f"differ by at most {difference:.2g} from" if difference else "are equal to"
