"""Which number format the network computes in.

The choice follows from what the hardware can do and never from a timing, so that equal machines train equal networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import torch

Precision = Literal["fp32", "bf16"]
PrecisionRequest = Literal["auto", "fp32", "bf16"]

# Names in /proc/cpuinfo of the instruction sets that multiply bfloat16 numbers.
_BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})


def read_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction sets that the kernel names for the first processor; empty where there is no such file."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def choose_precision(request: PrecisionRequest, *, cpu_flags: frozenset[str], cuda_has_bf16: bool | None) -> Precision:
    """Choose the number format of the network's large layers.

    Weights, optimiser state, heads, losses and advantages are float32 under either.

    Args:
        request: ``auto`` for bf16 where the hardware has it; a resume asks for what its checkpoint records.
        cpu_flags: See `read_cpu_flags`.
        cuda_has_bf16: Whether the GPU computes in bfloat16; None when the network is on the CPU.
    """
    if request != "auto":
        return request
    has_bf16 = bool(cpu_flags & _BF16_FLAGS) if cuda_has_bf16 is None else cuda_has_bf16
    return "bf16" if has_bf16 else "fp32"


def precision_on(device: torch.device, request: PrecisionRequest) -> Precision:
    """Choose the number format for a device of this machine; see `choose_precision`."""
    cuda_has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else None
    return choose_precision(request, cpu_flags=read_cpu_flags(), cuda_has_bf16=cuda_has_bf16)


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return torch's type of a number format."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def compute_reproducibly() -> None:
    """Make a GPU's convolutions and products those of their number format, and the same in every run.

    By default cuDNN computes float32 convolutions in TF32, whose mantissa has 10 bits instead of 23, and takes
    algorithms that add in an order of their own each time.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
