"""Train, evaluate and watch DeepRacer cars."""

__version__ = "0.1.0"
