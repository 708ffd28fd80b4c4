"""Typer commands; the only code that prints for people."""
