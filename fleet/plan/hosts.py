"""The hosts of a scenario: classes or an inventory, to the plan's table."""

import numpy as np

from fleet.errors import InputError
from fleet.hosts.shape import auto_block_pages, default_nodes
from fleet.inputs.inventory import Inventory, read_inventory
from fleet.inputs.numbers import NULL
from fleet.plan.tables import Hosts
from fleet.scenario import hosts as asked

MILLION = 1_000_000


def hosts_table(hosts: asked.Hosts, inventory: Inventory | None = None) -> Hosts:
    """Build the table of hosts.

    Parameters
    ----------
    hosts : fleet.scenario.hosts.Hosts
    inventory : Inventory, optional
        The inventory it names, when already read.

    Raises
    ------
    InputError
        A bad inventory, more hosts asked for than it has, or a host of fewer than two memory
        blocks per node.
    """
    if hosts.inventory is None:
        return _from_classes(hosts)
    return _from_inventory(hosts, inventory or read_inventory(hosts.inventory))


def class_of_each(weights: list[int], total: int) -> list[int]:
    """Deal ``total`` hosts to classes by weight, evenly mixed.

    The next host goes to the class that is furthest behind, so a larger fleet of the same shares
    begins with the same hosts.
    """
    given, whole, out = [0] * len(weights), sum(weights), []
    for number in range(1, total + 1):
        index = max(range(len(weights)), key=lambda i: (weights[i] * number - given[i] * whole, -i))
        given[index] += 1
        out.append(index)
    return out


def _from_classes(hosts: asked.Hosts) -> Hosts:
    """Hosts by class; their names are ``class-00000``, counted within the class."""
    classes = hosts.classes
    counts = [c.count for c in classes]
    if hosts.total is None:
        weights = [count or 0 for count in counts]
        total = sum(weights)
    else:
        weights, total = [c.share_millionths or 0 for c in classes], hosts.total
    dealt = class_of_each(weights, total)
    seen = [0] * len(classes)
    names = []
    for index in dealt:
        names.append(f"{classes[index].name}-{seen[index]:05d}")
        seen[index] += 1
    ids = np.array(dealt, np.int64)

    def column(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(values, np.int64)[ids]

    memory = [c.memory_pages for c in classes]
    blocks = [
        (hosts.memory_block_pages if c.memory_block_pages is None else c.memory_block_pages)
        or auto_block_pages(c.memory_pages)
        for c in classes
    ]
    nodes = [c.nodes or default_nodes(c.memory_pages) for c in classes]
    for index, (have, block, node) in enumerate(zip(memory, blocks, nodes, strict=True)):
        if have // block < 2 * node:
            raise InputError(_too_small(block), field=f"hosts.classes[{index}].memory")
    whole = [have // block * block for have, block in zip(memory, blocks, strict=True)]
    own = [_own_memory(hosts, c, pages) for c, pages in zip(classes, whole, strict=True)]
    return Hosts(
        name=tuple(names),
        class_names=tuple(c.name for c in classes),
        class_id=ids,
        memory_pages=column(whole),
        nodes=column(nodes),
        cpus=column([c.cpus for c in classes]),
        block_pages=column(blocks),
        kernel_pages=column([k for k, _, _ in own]),
        cache_pages=column([c for _, c, _ in own]),
        base_pages=column([b for _, _, b in own]),
        boot_1g=column([hosts.boot_1g if c.boot_1g is None else c.boot_1g for c in classes]),
    )


def _too_small(block_pages: int) -> str:
    return f"fewer than two memory blocks of {block_pages // 256} MiB per node"


def _own_memory(
    hosts: asked.Hosts, item: asked.HostClass, memory_pages: int
) -> tuple[int, int, int]:
    """Pages of kernel memory, page cache and base load of one host of a class."""
    pairs = (
        (item.kernel_millionths, hosts.kernel_millionths),
        (item.cache_millionths, hosts.cache_millionths),
        (item.base_millionths, hosts.base_millionths),
    )
    kernel, cache, base = (
        memory_pages * (default if own is None else own) // MILLION for own, default in pairs
    )
    return kernel, cache, base


def _from_inventory(hosts: asked.Hosts, inventory: Inventory) -> Hosts:
    """The first ``total`` hosts of an inventory (all by default)."""
    have = len(inventory.name)
    total = have if hosts.total is None else hosts.total
    if total > have:
        raise InputError(f"the inventory has {have} hosts, not {total}", field="hosts.total")
    memory, nodes = inventory.memory_pages[:total], inventory.nodes[:total].copy()
    blocks = inventory.block_pages[:total].copy()
    for row in range(total):
        if nodes[row] == NULL:
            nodes[row] = default_nodes(int(memory[row]))
        if blocks[row] == NULL:
            blocks[row] = hosts.memory_block_pages or auto_block_pages(int(memory[row]))
        if memory[row] // blocks[row] < 2 * nodes[row]:
            reason = _too_small(int(blocks[row]))
            raise InputError(reason, field="memory_mib", where=inventory.places[row])
    whole = memory // blocks * blocks
    class_names = tuple(sorted(set(inventory.host_class[:total])))
    number = {name: index for index, name in enumerate(class_names)}
    return Hosts(
        name=inventory.name[:total],
        class_names=class_names,
        class_id=np.array([number[name] for name in inventory.host_class[:total]], np.int64),
        memory_pages=whole,
        nodes=nodes,
        cpus=inventory.cpus[:total].copy(),
        block_pages=blocks,
        kernel_pages=whole * hosts.kernel_millionths // MILLION,
        cache_pages=whole * hosts.cache_millionths // MILLION,
        base_pages=whole * hosts.base_millionths // MILLION,
        boot_1g=np.full(total, hosts.boot_1g, np.int64),
    )
