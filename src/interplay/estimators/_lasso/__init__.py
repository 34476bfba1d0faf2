"""Sparse regression on singles and pairs."""
