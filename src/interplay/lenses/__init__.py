"""What can be ablated: each lens turns something of the user's into a `Game`."""
