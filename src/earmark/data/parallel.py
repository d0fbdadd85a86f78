"""Apply a function to many items, in worker processes or in this one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_parallel(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Call a function for each item; yield the results in the order of the items.

    Args:
        function: function of one item; picklable, so that worker processes can run it.
        items: arguments of the function.
        workers: number of processes; 1 computes in this process.
    """
    if workers > 1 and len(items) > 1:
        with ProcessPoolExecutor(workers) as executor:
            yield from executor.map(function, items, chunksize=2)
    else:
        yield from map(function, items)
