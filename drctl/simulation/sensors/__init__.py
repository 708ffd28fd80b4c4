"""What the car sees."""
