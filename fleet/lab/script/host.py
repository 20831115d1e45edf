"""From the host that a script describes to a booted machine."""

from engine.enums import AreaKind, Errno, Op, PoolSize, ZoneKind
from engine.shape import OFFLINE, HostShape
from fleet.hosts.shape import auto_block_pages, host_shape, zone_kinds
from fleet.lab.guest import BOOT_PROC
from fleet.lab.machine import EngineFactory, Ints, Machine, build
from fleet.lab.script.models import HostModel


class HostError(ValueError):
    """A host that cannot be built; ``field`` is the field of ``host`` that is to blame."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def block_pages_of(host: HostModel) -> int:
    """Memory block size: the given one, or what the kernel chooses for so much RAM."""
    return host.block_pages or auto_block_pages(host.memory_pages)


def shape_of(host: HostModel, movable_millionths: int) -> HostShape:
    """Return the shape: RAM as booted, the DIMMs' blocks offline above it (HostError)."""
    block = block_pages_of(host)
    if host.memory_pages < 2 * host.nodes * block:
        raise HostError("memory", f"needs two memory blocks of {block // 256} MiB on each node")
    ram = host_shape(host.memory_pages, block, host.nodes, host.cpus, movable_millionths)
    node, zone = list(ram.block_node), list(ram.block_zone)
    for index, pages in enumerate(host.dimms):
        if pages % block or not pages:
            raise HostError("dimms", f"DIMM {index}: not whole blocks of {block // 256} MiB")
        node += [host.dimm_nodes[index] if host.dimm_nodes else 0] * (pages // block)
        zone += [OFFLINE] * (pages // block)
    reserved = [*ram.block_reserved, *[0] * (len(node) - len(ram.block_node))]
    return HostShape(
        ram.pageblock_order, block, tuple(node), tuple(zone), tuple(reserved), ram.cpu_node
    )


def removable(host: HostModel, movable_millionths: int) -> tuple[int, ...]:
    """Blocks that scripts call h0, h1, ..: those in MOVABLE at boot, then those of DIMMs.

    They follow from the script's own sizing, so a name means the same block under every arm.
    """
    block = block_pages_of(host)
    _, kinds = zone_kinds(host.memory_pages, block, host.nodes, movable_millionths)
    movable = [b for b, kind in enumerate(kinds.tolist()) if kind == ZoneKind.MOVABLE]
    last = len(kinds) + sum(pages // block for pages in host.dimms)
    return (*movable, *range(len(kinds), last))


def boot(host: HostModel, movable_millionths: int, factory: EngineFactory, table: Ints) -> Machine:
    """Build a host under a decision table; its kernel takes its memory, node by node."""
    machine = build(factory, shape_of(host, movable_millionths), table)
    for node in range(host.nodes):
        share = host.boot_1g // host.nodes + (node < host.boot_1g % host.nodes)
        if share and machine.do(Op.POOL, node, share, PoolSize.GIGANTIC) != Errno.OK:
            raise HostError("hugepages_1g", "do not fit the host's kernel zones")
    machine.do(Op.SPAWN, BOOT_PROC, 0, 1)
    for node in range(host.nodes):
        pages = host.kernel_pages * (node + 1) // host.nodes
        pages -= host.kernel_pages * node // host.nodes
        if not pages:
            continue
        machine.do(Op.MAP, node, BOOT_PROC, AreaKind.KERNEL, pages, 0)
        if machine.do(Op.TOUCH, node, 0, pages, -1, node) != Errno.OK:
            raise HostError("kernel", "does not fit the host's kernel zones")
    return machine
