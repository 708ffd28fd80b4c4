"""Learn a policy and publish it."""
