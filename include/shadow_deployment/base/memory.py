"""Memory that is freed and allocated again, batch after batch."""

import ctypes
from functools import cache
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h of glibc names them
_LIMIT: Final = 32 << 20


@cache
def keep_freed() -> None:
    """Let glibc keep up to about 64 MB of freed memory for the next arrays; other C libraries are left as they are.

    By default glibc returns each array of more than 128 KiB to the system, and every page of the next one faults again:
    a quarter of the time of comparing a day.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _LIMIT)
    mallopt(_TRIM_THRESHOLD, 2 * _LIMIT)
