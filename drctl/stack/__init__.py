"""What a run consists of, as pure data."""
