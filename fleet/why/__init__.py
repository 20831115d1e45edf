"""Why a run went as it did: hosts replayed from the log, outcomes explained, runs compared."""
