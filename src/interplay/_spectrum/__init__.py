"""The sparse Walsh-Fourier polynomial, and every index read out of it."""
