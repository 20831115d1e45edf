"""Scenario files: models, units, YAML with line and column, shipped scenarios."""
