"""What the car sees: the front camera and the painted ground it looks at."""
