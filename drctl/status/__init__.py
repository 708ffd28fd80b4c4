"""Who runs, in which phase, and who waits for whom; pure readers."""
