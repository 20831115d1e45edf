"""One host: zones, pageblocks, areas, faults, pins, migration, reclaim, offlining."""
