"""Proof of the engine: sentences about tiny hosts, conservation laws, two engines in step."""
