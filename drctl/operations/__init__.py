"""Use cases: take a Project, return a Result, print nothing."""
