"""Values and slopes of ablations, fitted together."""
