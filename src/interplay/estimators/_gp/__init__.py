"""The Walsh-kernel Gaussian process."""
