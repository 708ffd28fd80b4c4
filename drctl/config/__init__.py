"""Env files and settings, each with its origin."""
