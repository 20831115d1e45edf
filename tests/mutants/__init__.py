"""Seeded faults: do the tests notice? ``python -m tests.mutants``."""
