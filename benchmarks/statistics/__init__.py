"""How the report's statistics do on engine output: ``python -m benchmarks.statistics``."""
