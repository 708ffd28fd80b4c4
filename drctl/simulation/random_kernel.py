"""Keyed random numbers for compiled kernels; see `random`."""

from __future__ import annotations

from numba import njit

from drctl.simulation.random import uniform_of

keyed_uniform = njit(cache=True)(uniform_of)
