"""What a network costs: engines, latency tables, cost models, the stopwatch, and how well time is foretold."""
