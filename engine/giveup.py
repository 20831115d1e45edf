"""What makes an offline give up: a signal, its bound, the policy's rule."""

from engine.elements import counts_of, head_of
from engine.ending import end
from engine.enums import Cell, Errno, OfflineReason, OfflineRule
from engine.kernel import kernel
from engine.listing import is_whole_gigantic
from engine.state import (
    BK_PINNED,
    FOLIO,
    G_BLOCK_PBS,
    NIL,
    O_BLOCK,
    O_BOUND,
    O_CURSOR,
    O_ERRORS,
    O_SIGNAL,
    O_START,
    O_STEP,
    PB_AUX,
    PIN_MASK,
    PS_STATE,
    R_ALLOC,
    RN_BNEXT,
    RN_CNT,
    RS_STATE,
    SPLIT,
    TABLE,
    UNIFORM,
)

EBUSY = int(Errno.EBUSY)
EAGAIN, EINTR = int(Errno.EAGAIN), int(Errno.EINTR)
SIGNAL, MAX_ERRORS = int(OfflineReason.SIGNAL), int(OfflineReason.MAX_ERRORS)
TIMEOUT, PIN_SEEN = int(OfflineReason.TIMEOUT), int(OfflineReason.PIN_SEEN)
RULE, RULE_NS = int(Cell.OFFLINE_RULE), int(Cell.OFFLINE_BOUND_NS)
RULE_ERRORS = int(Cell.OFFLINE_MAX_ERRORS)
BOUNDED, TIMED, PIN_AWARE = (
    int(OfflineRule.BOUNDED_4_13),
    int(OfflineRule.TIMEOUT),
    int(OfflineRule.PIN_AWARE),
)


@kernel
def gives_up(h):
    """Whether a signal, the bound or the policy ends the offline before this scan."""
    waited = h.g[O_STEP] - h.g[O_START]
    rule = h.g[TABLE + RULE]
    if h.g[O_SIGNAL] or (h.g[O_BOUND] and waited >= h.g[O_BOUND]):
        end(h, EINTR, SIGNAL)
    elif rule == TIMED and waited >= h.g[TABLE + RULE_NS]:
        end(h, EINTR, TIMEOUT)
    elif rule == BOUNDED and h.g[O_ERRORS] >= h.g[TABLE + RULE_ERRORS]:
        end(h, EBUSY, MAX_ERRORS)
    elif rule == BOUNDED and waited >= h.g[TABLE + RULE_NS]:
        end(h, EAGAIN, TIMEOUT)
    elif rule == PIN_AWARE and pin_in_block(h):
        end(h, EBUSY, PIN_SEEN)
    else:
        return False
    return True


@kernel
def pin_in_block(h):
    """Whether a page of the block from the cursor on has a long-term pin."""
    if h.blk[h.g[O_BLOCK], BK_PINNED] == 0:
        return False
    stop = (h.g[O_BLOCK] + 1) * h.g[G_BLOCK_PBS]
    for pb in range(h.g[O_CURSOR], stop):
        state = h.pbs[pb, PS_STATE]
        if is_whole_gigantic(h, pb, h.g[O_CURSOR]):
            pins, _ = counts_of(h, head_of(h, pb))
            if pins:
                return True
        elif state == UNIFORM or state == FOLIO:
            if h.pb[pb, PB_AUX] & PIN_MASK:
                return True
        elif state == SPLIT:
            r = h.pb[pb, PB_AUX]
            while r != NIL:
                if h.runb[r, RS_STATE] == R_ALLOC and h.run[r, RN_CNT] & PIN_MASK:
                    return True
                r = h.run[r, RN_BNEXT]
    return False
