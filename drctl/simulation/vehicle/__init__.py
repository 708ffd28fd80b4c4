"""How the car moves."""
