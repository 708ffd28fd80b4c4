"""Keyed random numbers for compiled kernels; see `random`."""

from __future__ import annotations

from numba import njit

from drctl.simulation.random import uniform_of

keyed_uniform = njit(cache=True)(uniform_of)
"""`random.uniform_of`, to be called from compiled kernels; plain integers do as well."""
