"""The world a car drives in."""
