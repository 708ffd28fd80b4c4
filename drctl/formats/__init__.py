"""The outside world's files and lines, translated once."""
