"""How a network changes while it trains: the methods, their schedule and their state."""
