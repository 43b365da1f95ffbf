"""Call a function in threads a few numbers ahead of whoever takes the results, which come in order."""

import itertools
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar


Result = TypeVar("Result")


def map_ahead(
    function: Callable[[int], Result], count: int, ahead: int, threads: int
) -> Generator[Result, None, None]:
    """Yield `function` of 0, 1 … count - 1 in order; no more than `ahead` results wait to be taken.

    An error of the function is raised in its turn, and what was not begun by then is never called.
    """
    numbers = iter(range(count))
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, each) for each in itertools.islice(numbers, ahead)
        )
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, each) for each in itertools.islice(numbers, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
