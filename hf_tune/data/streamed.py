"""A train split that is read while it trains: pass after pass, each shuffled anew; nothing of it is stored."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import datasets
import fsspec.asyn
import pyarrow
import torch
from torch.utils.data import Dataset, get_worker_info

from hf_tune.data.stream_labels import LabelReader
from hf_tune.input_error import InputError, RunStopped
from hf_tune.task import Example, Kept, Task


if TYPE_CHECKING:
    from hf_tune.data.splits import Split

READ_ROWS = 100
"""Rows that are turned from columns into examples at once."""
SEARCHED_ROWS = 1_000_000
"""Rows among which one that cannot be trained on is looked for, to tell its number."""


class StreamBroken(RunStopped):
    """A stream that cannot be read on, in the middle of a run."""

    def __init__(self, problem: str, hint: str = "") -> None:
        """Join the sentences; torch 2.15 hands on the error of a worker as one text, behind its traceback."""
        told = problem.strip().rpartition("\n")[2].partition(f"{type(self).__name__}: ")[2]
        super().__init__(told or problem, hint)


@dataclass(frozen=True, kw_only=True)
class StreamedSplit:
    """The raw examples of a train split that is a stream."""

    head: "Split"
    """Its first rows, in the order of the data."""
    stream: datasets.IterableDataset
    """Its rows with the columns of the data set."""
    columns: Mapping[str, str]
    """Role → column, the label's too."""
    labels: LabelReader
    known_labels: Kept
    """The labels of validation, which stand for those of train: nobody has counted them."""
    shuffle_buffer: int

    @property
    def name(self) -> str:
        """Return the name of the split that the rows are in."""
        return self.head.name

    def __getitem__(self, row: int) -> Example:
        """Return one of the first raw examples."""
        return self.head[row]

    def get_labels(self) -> Kept:
        """Return the labels of validation under the name `labels`; nothing where the task has none."""
        return self.known_labels

    def describe(self) -> str:
        """Return what a reader of the results has to know."""
        return (
            f"The train split is a stream, shuffled within {self.shuffle_buffer:,} rows: nobody counted its rows, and "
            "what guessing without looking scores is reckoned from the labels of validation."
        )

    def open_pass(self, seed: int, number: int) -> Iterator[Example]:
        """Return the rows of a pass, undecoded: role → cell, the label as it is stored.

        Their order depends on (seed, number of the pass) and on nothing else.
        """
        if get_worker_info() is not None:
            fsspec.asyn.reset_lock()  # fsspec hangs in a forked process without it, as datasets 5.2 says
        # Not `set_epoch`: in datasets 5.2 all workers share one epoch, and they are not all in the same pass.
        seed = seed * 1_000_003 + number
        return self._read(lambda stream: stream.shuffle(seed=seed, buffer_size=self.shuffle_buffer))

    def name_row(self, example: Example) -> str:
        """Return what a person finds a row of a pass under; for this the data is read again from its start."""
        rows = itertools.islice(self._read(lambda stream: stream), SEARCHED_ROWS)
        number = next((number for number, each in enumerate(rows) if each == example), None)
        source = str(self.head.get_origin().sources[0])
        if number is None:
            return f"a row of split {source!r} behind its first {SEARCHED_ROWS:,}"
        return f"row {number} of split {source!r}"

    def _read(self, order: Callable[[Any], Any]) -> Iterator[Example]:
        names = list(dict.fromkeys(self.columns.values()))
        # Not `iter(…)`: in a worker that would leave out what it takes for the part of other workers.
        batches = order(self.stream.select_columns(names)).iter(READ_ROWS)
        while (batch := self._take(batches)) is not None:
            for cells in zip(*(batch[name] for name in names), strict=True):
                row = dict(zip(names, cells, strict=True))
                yield {role: row[column] for role, column in self.columns.items()}

    def _take(self, batches: Iterator[dict[str, list[Any]]]) -> dict[str, list[Any]] | None:
        """Return the next batch, None behind the last one; raises `InputError` where it cannot be read."""
        try:
            return next(batches, None)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            hint = "mend its file, or the connection; what a run has saved goes on with --resume"
            raise InputError(f"split {self.name!r} breaks off: {error}", hint, at=("data", "load")) from error


class PassReader:
    """Reads the rows of one pass after the other; forward is cheap, going back reads from the start of the pass."""

    def __init__(self, open_pass: Callable[[int], Iterator[Example]]) -> None:
        """Read nothing yet; `open_pass` gives the rows of a pass, as many in each."""
        self.open_pass = open_pass
        self.num_rows: int | None = None
        """Rows of a pass, known when one was read to its end."""
        self.process = 0
        self.number = -1
        self.taken = 0
        self.rows: Iterator[Example] = iter(())

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open files out: another process opens its own."""
        return {**self.__dict__, "process": 0, "rows": iter(())}

    def read(self, position: int) -> Example:
        """Return the row at a position, counted through all passes.

        Raises `InputError` for a stream without a row, and for a pass that is shorter than the first.
        """
        number, row = self.locate(position)
        example = self._read_row(number, row)
        if example is None:  # the first pass has ended before, and now its length is known
            number, row = self.locate(position)
            example = self._read_row(number, row)
        if example is None:
            problem = f"pass {number} of the stream ended after {self.taken} rows, the first had {self.num_rows}"
            raise InputError(problem, "it has to give the same rows each time", at=("data", "load"))
        return example

    def locate(self, position: int) -> tuple[int, int]:
        """Return pass and row of a position, as far as is known."""
        return divmod(position, self.num_rows) if self.num_rows else (0, position)

    def _read_row(self, number: int, row: int) -> Example | None:
        """Return a row of a pass, None where the pass ends before it."""
        # A forked worker must not read on in the files of its parent, which share their place in them.
        if (self.process, self.number) != (os.getpid(), number) or row < self.taken:
            self.process, self.number, self.taken, self.rows = os.getpid(), number, 0, self.open_pass(number)
        for example in self.rows:
            self.taken += 1
            if self.taken > row:
                return example
        if self.num_rows is None and not self.taken:
            raise InputError("the stream has no row", at=("data", "load"))
        self.num_rows = self.num_rows or self.taken
        return None


class EncodedStream(Dataset):
    """Encoded examples at the positions of an endless stream; what stands there depends on the seed alone.

    Whoever reads positions in ascending order decodes and encodes those that it asks for, and no others. `row` is the
    position and `epoch` always 0: one batch may hold rows of two passes.
    """

    def __init__(self, split: StreamedSplit, task: Task, processor: Any, seed: int) -> None:
        """Check the first rows; raises `InputError` for one that cannot be read, with its number and split."""
        self.split = split
        self.task = task
        self.processor = processor
        self.reader = PassReader(functools.partial(split.open_pass, seed))
        for row in range(len(split.head)):
            with split.head.naming_row(row):
                task.check_example(split.head[row], processor)

    def __getitem__(self, position: int) -> Example:
        """Return the encoded example at a position; raises `InputError` for a row that cannot be read."""
        example = self.reader.read(position)
        label = self.split.head.label_role
        try:
            known = {} if label is None else {label: self.split.labels.read(example[label])}
            encoded = self.task.encode({**example, **known}, self.processor)
        except InputError as error:
            problem = f"{self.split.name_row(example)}: {error.problem}"
            raise InputError(problem, error.hint, at=("data", "load")) from None
        return {**encoded, "row": torch.tensor(position), "epoch": torch.tensor(0)}

    def __getitems__(self, positions: Sequence[int]) -> list[Example]:
        """Return the examples of a batch of a run; raises `StreamBroken` for what ends the run."""
        try:
            return [self[position] for position in positions]
        except InputError as error:
            raise StreamBroken(error.problem, error.hint) from error
