"""What scores an input: each model makes scorers, functions from texts to floats."""
