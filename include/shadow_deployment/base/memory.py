"""Memory that is freed and asked for again, batch after batch."""

import ctypes
from functools import cache
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h of glibc names them
_KEPT: Final = 32 << 20


@cache
def keep_freed() -> None:
    """Let the C library keep the memory of arrays that are freed, up to some 64 MB, for those that come next.

    glibc gives arrays of more than 128 KiB back to the system one by one, and each page of the next one is then made
    anew: a quarter of what comparing a day takes. Another C library is left as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, _KEPT)
    mallopt(_TRIM_THRESHOLD, 2 * _KEPT)
