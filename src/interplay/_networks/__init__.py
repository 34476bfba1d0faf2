"""The PyTorch machinery that models and lenses share."""
