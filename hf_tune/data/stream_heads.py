"""What of a streamed data set is in memory before it trains: the first rows of train, and the other splits whole."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import datasets
import pyarrow

from hf_tune.input_error import InputError


HEAD_ROWS = 100
"""Rows of train that are read and checked before anything trains."""
_ENDLESS = 10**15
"""Rows that a stream is taken to have while its length is not known."""
_LONGEST = 10**9
"""An end beyond it is counted from the end of the stream, or is a share of it."""


def read_tables(
    raw: Mapping[str, datasets.Dataset | datasets.IterableDataset], plan: Mapping[str, str | float]
) -> datasets.DatasetDict:
    """Return the data set with a table for each split: of train its first rows, where it is a stream.

    `plan` is what `data.splits` says of each split. Of an evaluated split as many rows are read as its expression
    asks for. Raises `InputError` for an expression that a stream does not have: a part of train, or a cut from it.
    """
    tables = {name: rows for name, rows in raw.items() if isinstance(rows, datasets.Dataset)}
    if len(tables) == len(raw):
        return datasets.DatasetDict(tables)
    train = str(plan["train"])
    if train not in raw or train in tables:
        problem = f"of streams train takes one whole split, and {train!r} is none"
        streams = ", ".join(name for name in raw if name not in tables)
        raise InputError(problem, f"the data has: {streams}", at=("splits", "train"))
    tables[train] = _read(raw[train], HEAD_ROWS, train)
    ends: dict[str, int] = {}
    for name, expression in plan.items():
        if name != "train":
            for split, end in _find_ends(raw, train, expression, name):
                ends[split] = max(end, ends.get(split, 0))
    for split, end in ends.items():
        if split not in tables:
            tables[split] = _read(raw[split], end if end < _LONGEST else None, split)
    return datasets.DatasetDict(tables)


def leave_encoded(stream: datasets.IterableDataset) -> datasets.IterableDataset:
    """Return the stream with its pictures, sounds and films as they are stored."""
    for name, feature in (stream.features or {}).items():
        if getattr(feature, "decode", False):
            stream = stream.cast_column(name, dataclasses.replace(feature, decode=False))
    return stream


def _find_ends(raw: Mapping[str, Any], train: str, expression: str | float, name: str) -> list[tuple[str, int]]:
    """Return the splits that an expression takes rows of, each with the number of its last row + 1."""
    at = ("splits", name)
    others = [each for each in raw if each != train]
    hint = f"name another split under `data.splits.{name}`, such as `{name}: {others[0]}` or `{others[0]}[:1000]`"
    hint = hint if others else "give the data set one"
    if not isinstance(expression, str):
        raise InputError(f"train is a stream, of which no {name} split can be cut", hint, at=at)
    try:
        pieces = datasets.ReadInstruction.from_spec(expression).to_absolute(dict.fromkeys(raw, _ENDLESS))
    except (ValueError, AssertionError) as error:
        raise InputError(f"no such split: {error}", f"the data has: {', '.join(raw)}", at=at) from None
    if train in {each.splitname for each in pieces}:
        raise InputError(f"train is a stream, of which no {name} split ({expression}) can be cut", hint, at=at)
    return [(each.splitname, _ENDLESS if each.to is None else each.to) for each in pieces]


def _read(stream: datasets.IterableDataset, limit: int | None, name: str) -> datasets.Dataset:
    """Return the first rows of a stream, or all; a feature that the stream does not tell is taken from them."""
    stream = leave_encoded(stream)
    try:
        rows = list(stream if limit is None else stream.take(limit))
        return datasets.Dataset.from_list(rows, features=stream.features)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        hint = "is it in this format, UTF-8, and with this separator?"
        raise InputError(f"split {name!r} cannot be read: {error}", hint, at=("load",)) from error
