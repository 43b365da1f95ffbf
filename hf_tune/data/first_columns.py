"""Which column of some data has which role, as far as names and content say; and why, in a few words."""

from collections.abc import Mapping
from types import MappingProxyType

from hf_tune.data.survey import ColumnSurvey, Survey
from hf_tune.task import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Choice, ProblemType


_PICTURES = ("image", "img", "picture", "photo", "file_name", "filename", "file", "path", "image_path")
_LABELS = ("label", "labels", "class", "classes", "category", "target", "intent", "tag", "tags", "sentiment", "y")
_NUMBERS = ("label", "score", "rating", "similarity", "target", "value", "y")
_TEXTS = ("text", "sentence", "review", "question", "message", "comment", "content", "document", "body", "title")
_PAIRS = (
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("query", "document"),
)
_KINDS: Mapping[str, ProblemType] = MappingProxyType(
    {"classes": SINGLE_LABEL, "label lists": MULTI_LABEL, "numbers": REGRESSION}
)


def choose_picture(survey: Survey) -> tuple[ColumnSurvey, Choice] | None:
    """Return the column of pictures, or of their files; None where there is none."""
    picture = survey.find("picture", _PICTURES)
    if picture is not None:
        return picture, Choice(value=picture.name, why="holds pictures")
    file = survey.find("file", _PICTURES)
    if file is None:
        return None
    return file, Choice(value=file.name, why="holds paths of pictures, which start at the folder of the table")


def choose_texts(survey: Survey) -> dict[str, tuple[ColumnSurvey, Choice]]:
    """Return the role `text`, and `text_pair` where two columns look like a pair; none where there is no text."""
    texts = {each.name.lower(): each for each in survey.columns if "text" in each.kinds}
    for first, second in _PAIRS:
        if first in texts and second in texts:
            why = "one of a pair of texts"
            roles = (("text", texts[first]), ("text_pair", texts[second]))
            return {role: (column, Choice(value=column.name, why=why)) for role, column in roles}
    named = next((texts[name] for name in _TEXTS if name in texts), None)
    longest = max(texts.values(), key=lambda each: each.characters, default=None)
    text = named or longest
    if text is None:
        return {}
    others = len(texts) - 1
    why = "holds texts" + (f"; so do {others} other columns" if others else "")
    return {"text": (text, Choice(value=text.name, why=why))}


def choose_label(survey: Survey, kinds: tuple[str, ...]) -> tuple[ColumnSurvey, Choice, ProblemType] | None:
    """Return the column of labels, why, and their kind; `kinds` are tried in this order after the names."""
    names = (*_LABELS, *_NUMBERS)
    named = {each.name.lower(): each for each in survey.columns if each.kinds & set(kinds)}
    label = next((named[name] for name in names if name in named), None)
    others = [each for kind in kinds for each in survey.columns if kind in each.kinds and _may_be_label(each)]
    label = label or next(iter(others), None)
    if label is None:
        return None
    kind = next(kind for kind in kinds if kind in label.kinds)
    return label, Choice(value=label.name, why=describe_label(label, kind)), _KINDS[kind]


def _may_be_label(column: ColumnSurvey) -> bool:
    """Return whether a column whose name says nothing may hold labels: not whole numbers, and not one class alone."""
    return "whole numbers" not in column.kinds and len(column.counts) != 1


def describe_label(label: ColumnSurvey, kind: str) -> str:
    """Say what a label column holds."""
    if kind == "numbers":
        return "numbers"
    if kind == "label lists":
        return "lists of labels that apply"
    rare = min(label.counts, key=lambda name: label.counts[name])
    return f"{len(label.counts)} classes; the rarest in train is {rare!r}, {label.counts[rare]} rows"


def choose_metric(label: ColumnSurvey, problem_type: ProblemType) -> Choice:
    """Return what the best checkpoint is chosen by."""
    if problem_type == REGRESSION:
        return Choice(value="spearman", why="whether rows are in the right order")
    if problem_type == MULTI_LABEL:
        return Choice(value="f1_micro", why="over all labels of all rows")
    counts = sorted(label.counts.values())
    if counts and counts[-1] > 3 * counts[0]:
        return Choice(value="f1_macro", why=f"classes of {counts[0]} to {counts[-1]} rows: each counts the same")
    return Choice(value="accuracy", why="the classes are of about one size")
