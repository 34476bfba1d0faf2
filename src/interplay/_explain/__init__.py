"""From a game to an explanation: rounds of measurement, fits, and how far to trust them."""
