"""Episode rules: starts, ends, progress."""
