"""Writes docs/lab.md: ``python -m fleet.lab.script.guide DOCS_FOLDER``.

The shipped scripts are run and what they print is put beside their stories.
"""

import io
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import cast

from engine.host import Host
from fleet.lab.machine import EngineFactory
from fleet.lab.script.load import load_script, shipped
from fleet.lab.script.models import HostModel, Script, StepModel
from fleet.lab.script.run import run_script
from fleet.lab.script.show import print_script
from fleet.lab.script.sight import END_FIELDS, FIELDS

NAME = "lab.md"
_GENERATED = "<!-- written by `python -m fleet.lab.script.guide docs`; do not edit -->"
_HEAD = """\
A script is a small experiment on one simulated host: a host of some shape, one or more arms
(kernel profile, pin and offline policy, sizing), and operations in the language of the recorded
real-kernel cases. `fleet lab SCRIPT` carries them out and says after each what happened: errno,
what was pinned, moved and where to, how an offline ended, what kept the block, and how long the
caller waited by the cost model. Maps show the memory blocks before and after.

```
fleet lab hang                                   # a shipped script
fleet lab mine.yaml --compare linux-5.10,linux-6.1,linux-5.13+pin-aware
fleet lab mine.yaml --policy gentle.yaml --compare linux-5.13+unbounded,gentle+unbounded
fleet lab mine.yaml --set host.memory=64GiB --format json
fleet lab list | show NAME | check FILE | schema
```

An arm is `[PROFILE:]PIN+OFFLINE[@SIZING]`, or a profile alone, which is its plain kernel. PIN and
OFFLINE can be policies of your own ([own-policy.md](own-policy.md)): `--policy FILE`, which may be
repeated, or a list of files under `policies` in the script, counted from its folder. With
several arms the steps stand side by side: `=` is the same as the first arm, and steps that differ
in more than time are marked `≠`. A malformed script is one line, `file:line:col field: reason`, and
exit code 2; the exit code is 1 when an expectation does not come true.
"""
_LANGUAGE = """\
`NAME` is a buffer; sizes are MiB, or end in `k`, `p` (pages) or `G`; bounds are seconds. `h0`,
`h1`, .. are the blocks that can be removed: those in ZONE_MOVABLE at boot (by the script's own
sizing, whatever the arm's), then those of the DIMMs. `offline:TARGET:BOUND` takes `h0`, `b12`,
`of=NAME` (the block that holds most of a buffer) or `was=NAME` (the one `mark:NAME` remembered),
and sends a signal after BOUND. The program touches what the script says and nothing else, page
tables (one kernel page for each 2 MiB) aside.
"""
_OPERATIONS = (
    ("online:h0-h3:movable\\|kernel", "online blocks into a zone"),
    ("alloc:NAME:SIZE:KIND",
     "map a buffer (`4k`, `thp`, `hugetlb`, `hugetlb1g`, `memfd`, `file=PATH`), untouched"),
    ("touch:NAME[:SIZE], read:NAME", "write, read a byte of each page"),
    ("pin:NAME:iou\\|vfio\\|vmsplice[:OFF:LEN]",
     "long-term pin by io_uring or VFIO; references without FOLL_LONGTERM"),
    ("pinblocks:NAME:K:KIND, pinstride:NAME:N:KIND", "pin a page in each of K blocks; every Nth"),
    ("unpin:NAME, unpin_after:NAME:SECS", "release now, or while something else runs"),
    ("repin:NAME:KIND:COUNT", "pin and unpin again and again"),
    ("offline:TARGET:BOUND, offlineall:BOUND", "offline a block, or all removable ones in turn"),
    ("free:NAME, punch:NAME:N", "unmap; free all but every Nth page"),
    ("hogfree:NAME:LEAVE, hogmov:NAME:LEAVE[:KIND], hognode:NAME:NODE:mov\\|ker:LEAVE",
     "fill the zones outside MOVABLE, MOVABLE, or a node until LEAVE is free"),
    ("kmem:SIZE, cacheread:PATH:SIZE, filewrite:PATH:SIZE", "unmovable kernel memory; page cache"),
    ("mlock:NAME, fork_hold, child_kill", "lock a buffer; a child that shares memory, and its end"),
    ("put:PATH=VALUE, cat:PATH", "kernel settings: min_free_kbytes, hugetlb pools (2 MiB, 1 GiB)"),
    ("freepat, churn, steady, alt, par, share, overlap, release, runs",
     "histories of frees and touches, and where buffers lie"),
    ("cpu:N, mpol:bind=N\\|pref=N\\|default, oomadj:-1000, sleep:SECS", "the program and time"),
    ("map", "draw the memory blocks here"),
    ("hint:NAME:SIZE:KIND", "as alloc, with the madvise hint before the first touch"),
)  # fmt: skip


def guide_markdown() -> str:
    """Return the guide: how scripts are written, and the shipped ones with what they print."""
    parts = ["# Own experiments", _GENERATED, _HEAD, "## The story in ten scripts"]
    for name in shipped():
        parts += _told(name)
    parts += ["## Writing a script"]
    parts += (
        _fields("a script", Script) + _fields("`host`", HostModel) + _fields("a step", StepModel)
    )
    parts += ["### Operations", _LANGUAGE, _table("operation", "meaning", dict(_OPERATIONS))]
    parts += [
        "### What is seen",
        "`expect` maps an arm to labels of steps (`as`) and these to fields and their values: a "
        'number, text, true or false, or a comparison such as `">= 100"`. A count that is absent '
        "is 0. The same fields are `seen` in JSON.",
        _table("field of a step", "meaning", FIELDS),
        _table("field of `end`", "meaning", END_FIELDS),
        "### JSON",
        '`{"script", "title", "arms": [{"arm", "before", "steps": [{"step", "op", "as", "seen", '
        '"pins", "migrations", "slowdowns", "attempts", "blockers", "incidents", "map"}], "after", '
        '"end", "unmet"}], "differ": [numbers of steps]}`. `before`, `after` and `map` hold one '
        "object per memory block: block, node, zone, isolated (0 or 1), and pages free, used, "
        "pinned, file, kernel. `map` is there where a map was drawn, and for an offline that "
        "did not succeed, while it ran. Lists that are empty are left out.",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _told(name: str) -> list[str]:
    """Story, script and output of one shipped script."""
    loaded, factory = load_script(name), cast(EngineFactory, Host)
    runs = [run_script(loaded, arm, factory) for arm in loaded.script.arms]
    with redirect_stdout(io.StringIO()) as out:
        print_script(loaded, runs)
    story = (loaded.script.story or "").strip()
    return [f"### {name}", story, f"```\n$ fleet lab {name}\n{out.getvalue().rstrip()}\n```"]


def _fields(title: str, model: type[Script | HostModel | StepModel]) -> list[str]:
    """The fields of a model."""
    rows = {f.alias or name: str(f.description) for name, f in model.model_fields.items()}
    return [_table(f"field of {title}", "meaning", {f"`{k}`": v for k, v in rows.items()})]


def _table(first: str, second: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {a} | {b} |" for a, b in rows.items()]
    return "\n".join([f"| {first} | {second} |", "| --- | --- |", *lines])


def main(folder: str) -> None:
    """Write the guide into ``folder``."""
    Path(folder, NAME).write_text(guide_markdown(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
