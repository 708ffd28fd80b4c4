"""Run a plan: as plain processes."""
