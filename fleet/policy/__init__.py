"""Proves that a policy keeps the engine's invariants, and says what it changes."""
