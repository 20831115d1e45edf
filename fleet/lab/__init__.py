"""Replay of cases recorded on real kernels, and the comparison with what the engine does."""
