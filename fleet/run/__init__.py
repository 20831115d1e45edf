"""The running fleet: coordinator, ledger, placement, shards of hosts, actors, resume."""
