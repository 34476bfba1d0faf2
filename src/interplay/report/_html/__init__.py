"""Views drawn as HTML: one self-contained page, and the static part that notebooks show."""
