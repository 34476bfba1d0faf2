"""SPEX: coded ablations, decoded by an error-correcting code."""

from interplay.estimators.spex._estimator import SPEX

__all__ = ["SPEX"]
