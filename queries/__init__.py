"""One question per ``.sql`` file, and the catalog that opens a run in DuckDB."""
