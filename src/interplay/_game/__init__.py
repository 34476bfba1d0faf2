"""What every part agrees on: masks, values, games, and where features lie."""
