"""The rows of a batch, shared out among threads.

NumPy and torch let other threads of Python run while they copy or compute, so that work on long rows gains by them.
Unlike torch's own threads they need not wait for one another at every operation.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch


def share_rows(count: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` with slices that make up ``range(count)``, one for each of torch's threads, at the same time.

    Within ``work`` torch has one thread, so that what it computes for a row is the same however many there are.

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
    # Each of these threads would otherwise bring as many of torch's.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))
    finally:
        torch.set_num_threads(threads)
