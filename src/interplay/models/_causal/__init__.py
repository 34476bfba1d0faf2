"""Language models run here, by PyTorch."""
