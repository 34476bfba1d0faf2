"""Views drawn as text."""
