"""Training examples, by retraining on subsets."""
