"""The number format follows from the hardware."""

import os
import subprocess
import sys

import pytest
import torch

from drctl.trainer.memory import allocator_environment, release_free_memory
from drctl.trainer.precision import choose_precision, compute_dtype, read_cpu_flags


@pytest.mark.parametrize(
    ("request_", "cpu_flags", "cuda_has_bf16", "expected"),
    [
        ("auto", {"avx2"}, None, "fp32"),
        ("auto", {"avx2", "avx512_bf16"}, None, "bf16"),
        ("auto", {"amx_bf16"}, None, "bf16"),
        ("auto", {"avx512_bf16"}, False, "fp32"),
        ("auto", set(), True, "bf16"),
        ("fp32", {"avx512_bf16"}, None, "fp32"),
        ("bf16", set(), None, "bf16"),
    ],
)
def test_precision_follows_the_hardware_or_the_request(request_, cpu_flags, cuda_has_bf16, expected):
    assert choose_precision(request_, cpu_flags=frozenset(cpu_flags), cuda_has_bf16=cuda_has_bf16) == expected


def test_flags_are_those_of_the_first_processor(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nprocessor\t: 1\nflags\t\t: fpu other\n")
    assert read_cpu_flags(cpuinfo) == {"fpu", "avx2", "avx512_bf16"}
    assert read_cpu_flags(tmp_path / "missing") == frozenset()


def test_torch_types():
    assert compute_dtype("bf16") is torch.bfloat16
    assert compute_dtype("fp32") is torch.float32


def test_the_allocator_keeps_what_an_update_frees():
    environment = allocator_environment()
    largest_buffer_bytes = 1 << 30
    assert int(environment["MALLOC_MMAP_THRESHOLD_"]) > largest_buffer_bytes
    assert int(environment["MALLOC_TRIM_THRESHOLD_"]) > largest_buffer_bytes


def test_the_allocator_keeps_what_any_thread_frees():
    # Fills and frees the same 96 MB in a second thread again and again; an arena of its own holds 64 MB at most.
    code = """
import resource, threading
import numpy as np
def work():
    for _ in range(20):
        np.ones(12_000_000)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
faults = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(faults[-1] - faults[1])
"""
    environment = {**os.environ, **allocator_environment()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # otherwise some 8000


def test_the_allocator_is_known_without_loading_torch():
    code = "import sys, drctl.trainer.memory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_free_memory_can_be_given_back_at_any_time():
    kept = bytearray(b"kept") * 1000
    release_free_memory()
    assert kept == b"kept" * 1000
