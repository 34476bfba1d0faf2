"""SPEX: coded ablations, decoded by an error-correcting code."""
