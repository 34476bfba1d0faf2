"""How an explanation is shown."""
