"""Parts of a network, ablated in its forward pass."""
