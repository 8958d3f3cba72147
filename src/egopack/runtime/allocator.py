"""What the C library does with memory that a training step gives back."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
NEVER, AHEAD = 2**31 - 1, 64 << 20


def keep_freed_memory() -> bool:
    """Let the process keep the memory that it frees, for the next step asks for as much again.

    By default glibc hands every large block back to the system, which clears its pages anew, one fault each. Returns
    False where the C library has no such settings.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(
        mallopt(name, value) == 1 for name, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, AHEAD))
    )
