"""From results to views: numbers and words, no ink."""
