"""The event log: table schemas, writer, run folder, manifest, verification."""
