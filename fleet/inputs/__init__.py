"""Inventories, traces and importers of public data sets."""
