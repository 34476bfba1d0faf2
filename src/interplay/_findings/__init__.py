"""What is read out of an explanation; no ink."""
