"""Tracks: geometry, library, import and drawing."""
