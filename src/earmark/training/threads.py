"""The rows of a batch, shared out among threads.

NumPy lets other threads run while it copies or computes, so that loops over long rows gain by it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import torch


def share_rows(count: int, work: Callable[[slice], None]) -> None:
    """Call ``work`` with slices that make up ``range(count)``, one for each of torch's threads, at the same time.

    >>> seen = []
    >>> share_rows(5, lambda rows: seen.extend(range(5)[rows]))
    >>> sorted(seen)
    [0, 1, 2, 3, 4]
    """
    threads = max(1, min(torch.get_num_threads(), count))
    parts = [slice(*edges) for edges in pairwise(count * part // threads for part in range(threads + 1))]
    if threads == 1:
        work(parts[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
