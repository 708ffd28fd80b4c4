"""Race a stored model."""
