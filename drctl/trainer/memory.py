"""How the trainer's memory and threads are set up: before the process starts, and so before torch is loaded."""

from __future__ import annotations

import ctypes
from typing import Final

_KEEP_UP_TO_BYTES: Final = 4 << 30  # larger than any buffer of an update
_TRIM_ABOVE_BYTES: Final = 8 << 30


def allocator_environment() -> dict[str, str]:
    """Return the environment variables that a trainer process is started with.

    glibc gives buffers above 32 MB back to the kernel when they are freed, and an update frees and needs the same
    large buffers again for every minibatch: without these thresholds each of them is mapped and cleared anew, which
    costs up to a third of the update's speed. The threads that compute shards share one arena, because only the first
    one can hold large buffers; and pages are large, which makes them seven times fewer to map. Other allocators and
    kernels ignore these variables.

    ``OMP_NUM_THREADS`` keeps the libraries from starting threads of their own; see `shards`.

    Reference: mallopt(3), M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX; the GNU C Library, Tunables.
    """
    return {
        "MALLOC_MMAP_THRESHOLD_": str(_KEEP_UP_TO_BYTES),
        "MALLOC_TRIM_THRESHOLD_": str(_TRIM_ABOVE_BYTES),
        "MALLOC_ARENA_MAX": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "OMP_NUM_THREADS": "1",
    }


def release_free_memory() -> None:
    """Give back to the system what the process has freed: after an update or a checkpoint, hundreds of megabytes.

    It costs some 20 ms, and as much again when the next update needs the memory. Allocators other than glibc's have no
    such call and look after it themselves.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
