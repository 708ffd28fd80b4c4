"""What a stored model tells: its iterations, traces and races, read from files, for the report and the notebook."""
