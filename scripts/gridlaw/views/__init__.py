"""Views of a grid for people in a terminal."""
