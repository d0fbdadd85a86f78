"""Adjusts the memory allocator of the C library, so that training on a CPU is faster."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Make glibc keep large freed blocks instead of returning them to the system.

    Each training step of a wide network allocates the same blocks of more than 32 MB, and the system provides them page
    by page, which is slow: res15 trains 1.6 times as fast with kept blocks. With another C library, the function does
    nothing.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
