"""Published measurements, and what the engine says to the same experiment."""
