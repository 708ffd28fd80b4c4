"""Colour pictures for people, drawn from recorded poses: from the car, from behind it and from above."""
