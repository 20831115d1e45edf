"""How an offline of a range ends: the report, and what is undone."""

from engine.blockers import emit_blockers
from engine.emit import emit_moves, new_row
from engine.enums import MigrateReason, OfflineReason, Row
from engine.kernel import kernel
from engine.online import add_block
from engine.relist import relist
from engine.slowdown import emit_work
from engine.state import (
    BK_ISO,
    G_CAUSE,
    G_NOW,
    M_MOVED,
    O_ATTEMPT,
    O_AWAY,
    O_BLOCK,
    O_CALL,
    O_CAUSE,
    O_COUNT,
    O_ENDLESS,
    O_FAILED,
    O_FIRST,
    O_MIGRATED,
    O_ON,
    O_PASSES,
    O_START,
    O_UNAVAILABLE,
    O_ZONE,
    Z_PCPOFF,
)
from engine.suspend import emit_suspended, resume_pins, suspended_ns
from engine.watermark import set_watermarks

OK = 0
BAD_STATE = int(OfflineReason.BAD_STATE)
RUNNING = int(OfflineReason.RUNNING)
HOTPLUG, ATTEMPT = int(MigrateReason.MEMORY_HOTPLUG), int(Row.ATTEMPT)


@kernel
def unisolate(h):
    """Give the free pages of the block back to its zone, which has its per-CPU lists again."""
    h.blk[h.g[O_BLOCK], BK_ISO] = 0
    relist(h, h.g[O_BLOCK], False)
    h.zone[h.g[O_ZONE], Z_PCPOFF] = 0


@kernel
def end(h, errno, reason):
    """COMMIT or ABORT of the whole range: report, undo, put removed blocks back."""
    report(h, errno, reason)
    if errno != OK:
        if h.blk[h.g[O_BLOCK], BK_ISO]:
            unisolate(h)
        for done in range(h.g[O_FIRST], h.g[O_BLOCK]):
            add_block(h, done, h.g[O_ZONE])
            set_watermarks(h)
    h.g[O_ON] = 0
    if h.g[O_AWAY]:
        resume_pins(h)


@kernel
def report(h, errno, reason):
    """ATTEMPT, MIGRATION rows since the last report, BLOCKER rows unless it ended well."""
    cause = h.g[G_CAUSE]
    h.g[G_CAUSE] = h.g[O_CAUSE]
    failed = -1 if errno == OK and reason != RUNNING else h.g[O_BLOCK]
    n = new_row(h, ATTEMPT)
    h.rows[n, 3] = h.g[O_ATTEMPT]
    h.rows[n, 4] = h.g[O_FIRST]
    h.rows[n, 5] = h.g[O_COUNT]
    h.rows[n, 6] = errno
    h.rows[n, 7] = reason
    h.rows[n, 8] = h.g[O_START]
    h.rows[n, 9] = h.g[G_NOW]
    h.rows[n, 10] = h.g[O_PASSES]
    h.rows[n, 11] = h.g[O_MIGRATED] + (h.g[M_MOVED] if h.g[O_CALL] else 0)
    h.rows[n, 12] = h.g[O_FAILED]
    h.rows[n, 13] = failed
    h.rows[n, 14] = h.g[O_ENDLESS]
    h.rows[n, 15] = h.g[O_UNAVAILABLE] + suspended_ns(h)
    emit_moves(h, 1, HOTPLUG, h.g[O_ATTEMPT])
    emit_work(h, 1, HOTPLUG, h.g[O_ATTEMPT])
    emit_suspended(h)
    if failed >= 0 and reason != BAD_STATE:
        emit_blockers(h, failed, reason)
    h.g[G_CAUSE] = cause
