"""The reward parameters and the function of the user."""
