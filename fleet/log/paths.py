"""Where things lie inside a run folder.

Arm names keep ``+ @ . _ -`` and letters and digits; anything else is percent-encoded, so that a
path is readable, safe in a shell and reversible.
"""

from pathlib import PurePosixPath
from urllib.parse import quote, unquote

MANIFEST = "manifest.json"
SCENARIO = "scenario.resolved.yaml"
RUN = "run.json"
COMMITS = "commits"
EVENTS = "events"


def safe_arm(arm: str) -> str:
    """Return an arm's name as it stands in paths."""
    return quote(arm, safe="+@")


def part_path(table: str, arm: str, rep: int, shard: int, part: int) -> str:
    """Return the path of an event file, relative to the run folder, with forward slashes."""
    unit = f"arm={safe_arm(arm)}/rep={rep:04d}"
    return f"{EVENTS}/{table}/{unit}/shard={shard:04d}/part-{part:05d}.arrow"


def parse_part(path: str) -> tuple[str, str, int, int]:
    """Return ``table, arm, rep, shard`` of an event file's path (ValueError if it is none)."""
    parts = PurePosixPath(path).parts
    keys = ("arm=", "rep=", "shard=")
    if len(parts) != 6 or parts[0] != EVENTS:
        raise ValueError(f"not an event file: {path}")
    if not all(part.startswith(key) for part, key in zip(parts[2:5], keys, strict=True)):
        raise ValueError(f"not an event file: {path}")
    arm, rep, shard = (part.split("=", 1)[1] for part in parts[2:5])
    return parts[1], unquote(arm), int(rep), int(shard)


def commit_path(arm: str, rep: int) -> str:
    """Return the path of the commit record of (arm, rep), relative to the run folder."""
    return f"{COMMITS}/{safe_arm(arm)}.{rep:04d}.json"
