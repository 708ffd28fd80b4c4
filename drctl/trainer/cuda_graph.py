"""Computations that a GPU is handed as a whole.

A gradient step of the shipped network is some two hundred small kernels. Launching them one by one keeps a CPU core
busy for five milliseconds and the GPU for a few tenths of one; recorded once, they are launched together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import torch

_Result = TypeVar("_Result")
_REHEARSALS: Final = 3  # libraries choose algorithms and take their workspaces during the first calls


class CudaGraph(Generic[_Result]):
    """A computation recorded for the current GPU.

    Args:
        compute: Reads and writes tensors that stay where they are, and waits for nothing. It is called once, to be
            recorded; recording computes nothing.
        rehearse: Launches the same kernels without changing any tensor that counts.

    Attributes:
        result: What `compute` returned: tensors that each `replay` fills anew.
    """

    def __init__(self, compute: Callable[[], _Result], rehearse: Callable[[], object]) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            for _ in range(_REHEARSALS):
                rehearse()
            stream.synchronize()
            # Other threads of a trainer publish meanwhile; their calls are none of this recording's business.
            self._graph.capture_begin(capture_error_mode="thread_local")
            try:
                self.result = compute()
            finally:
                self._graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)

    def replay(self) -> _Result:
        """Launch the computation; what waits for the result's tensors waits for it."""
        self._graph.replay()
        return self.result
