"""Divides work on the rows of a batch among several threads.

NumPy and torch release the GIL while they copy or compute. Unlike torch's own threads, these do not wait for each other
at every operation.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch


def share_rows(count: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` in parallel with consecutive slices of ``range(count)``, one for each of torch's threads.

    Inside ``work`` torch has one thread, so that the result for a row does not depend on the number of threads.

    >>> seen = []
    >>> share_rows(5, lambda rows: seen.extend(range(5)[rows]))
    >>> sorted(seen)
    [0, 1, 2, 3, 4]
    """
    threads = torch.get_num_threads()
    parts = [slice(*edges) for edges in pairwise(count * part // threads for part in range(threads + 1))]
    if threads == 1:
        work(parts[0])
        return
    # Otherwise each thread of the pool would start as many threads of torch.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))
    finally:
        torch.set_num_threads(threads)
