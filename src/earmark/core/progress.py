"""Progress of long work: one callback, which the command line draws as bars.

A function that takes long has a parameter ``progress: Progress = no_progress`` and calls it with the name of the stage,
the number of finished items, and the number of all items:

```python
def embed_files(files: Sequence[Path], *, progress: Progress = no_progress) -> list[Floats]:
    return [embed(file) for file in follow(files, "embedding", progress)]
```

A stage is a short phrase without a capital letter, such as ``"embedding"``. Text in parentheses after it is a detail
that may change from call to call: ``"training (loss 2.31)"`` and ``"training (loss 2.30)"`` are the same stage. Items
are whatever the stage counts: files, bytes, seconds. ``total`` is None while it is unknown.

An inner function that counts without a name of its own gets ``partial(progress, "embedding")``; the stages of an inner
function get the outer name by `within`.
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

Progress = Callable[[str, float, float | None], None]
"""Called with the stage, the number of finished items, and the number of all items or None."""

Item = TypeVar("Item")


def no_progress(stage: str, done: float, total: float | None) -> None:
    """Ignore progress: the default of every function with a parameter ``progress``."""


def follow(
    items: Iterable[Item], stage: str, progress: Progress, *, first: int = 0, total: int | None = None
) -> Iterator[Item]:
    """Yield items and report each one as finished when the next is requested.

    Args:
        items: what the stage works on.
        stage: name of the stage.
        progress: called before the first item and after each item.
        first: number of items that an earlier run finished; they count as done.
        total: number of all items, with those of the earlier run; taken from `items` where they have a length.

    >>> calls = []
    >>> [item.upper() for item in follow("ab", "shouting", lambda *call: calls.append(call))]
    ['A', 'B']
    >>> calls
    [('shouting', 0, 2), ('shouting', 1, 2), ('shouting', 2, 2)]
    """
    if total is None and isinstance(items, Sized):
        total = first + len(items)
    progress(stage, first, total)
    for done, item in enumerate(items, first + 1):
        yield item
        progress(stage, done, total)


def within(outer: str, progress: Progress) -> Progress:
    """Put the name of an outer stage before the stages of an inner function.

    >>> within("round 2", lambda *call: print(*call))("mining", 3, 10)
    round 2: mining 3 10
    """

    def inner(stage: str, done: float, total: float | None) -> None:
        progress(f"{outer}: {stage}", done, total)

    return inner
