"""Tests of the benchmarks' own parts; no test asks for a speed."""
