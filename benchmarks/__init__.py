"""Benchmarks: one file per subject, run by ``python -m benchmarks``, never shipped."""
