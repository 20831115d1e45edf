"""A run folder as the source of replays: its scenario, its plans, its rows."""

import json
import operator
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from fleet.errors import InputError
from fleet.log import paths
from fleet.plan.build import Inputs, build_plan, read_inputs
from fleet.plan.tables import Plan
from fleet.run.demands import Demands
from fleet.run.messages import SHARD_HOSTS
from fleet.run.runner import arms_of, identity_of
from fleet.run.unit import build_world
from fleet.run.world import World
from fleet.scenario.load import load_scenario
from fleet.scenario.scenario import Scenario
from policies.arms import Arm
from queries.catalog import Catalog

PARTITIONS = ("arm", "rep", "shard")
SMALL = ("hosts", "requests", "incidents")
"""Tables of which a unit's rows are read once, whatever is looked for among them."""


@dataclass
class Source:
    """One run, opened to be explained.

    Attributes
    ----------
    folder : Path
    catalog : Catalog
        Of this run alone.
    """

    folder: Path
    catalog: Catalog
    _plans: dict[int, Plan] = field(default_factory=dict)
    _demands: dict[int, Demands] = field(default_factory=dict)
    _read: dict[tuple[str, str, int, Any], pa.Table] = field(default_factory=dict)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario as it was run (InputError: it, or an input file, is not what it was)."""
        return load_scenario(str(self.folder / paths.SCENARIO))

    @cached_property
    def _inputs(self) -> Inputs:
        """The scenario's files; memory is needed for the plan and a few hosts, not for all."""
        return read_inputs(self.scenario, hosts_too=False)

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The scenario's arms by name."""
        return {arm.name: arm for arm in arms_of(self.scenario)}

    @property
    def units(self) -> tuple[tuple[str, int], ...]:
        """Finished (arm, replication), in the order of the scenario."""
        return self.catalog.runs[0].units

    @cached_property
    def same_version(self) -> bool:
        """Whether this version of fleet made the run: scenario, policies, costs and code."""
        return bool(self.catalog.runs[0].run.get("run_hash") == identity_of(self.scenario).run_hash)

    def plan(self, rep: int) -> Plan:
        """Return the plan of a replication, built once."""
        if rep not in self._plans:
            self._plans[rep] = build_plan(self.scenario, rep, inputs=self._inputs)
        return self._plans[rep]

    def demands(self, rep: int) -> Demands:
        """Return what the plan alone decides about a replication, worked out once."""
        if rep not in self._demands:
            self._demands[rep] = Demands(self.plan(rep), self.scenario.reaction_latency_ns)
        return self._demands[rep]

    def world(self, arm: str, rep: int) -> World:
        """Return what the hosts of a unit knew."""
        return build_world(self.plan(rep), self.scenario, self.arms[arm])

    def rows(self, table: str, arm: str, rep: int, **equal: Any) -> pa.Table:
        """Return rows of a unit in the order of writing, without the partition columns.

        Parameters
        ----------
        table : str
        arm, rep
            The unit.
        equal : value or list of values
            Columns and what they must equal (be one of). A ``host`` also names the one shard read.
        """
        host = equal.get("host")
        if isinstance(host, int) and len(equal) > 1:
            of_host = self.rows(table, arm, rep, host=host)
            return of_host.filter(_all({n: v for n, v in equal.items() if n != "host"}))
        if table in SMALL and equal and host is None:
            return self.rows(table, arm, rep).filter(_all(equal))
        key = table, arm, rep, host
        if (isinstance(host, int) or not equal) and key in self._read:
            return self._read[key]
        wanted = (ds.field("arm") == arm) & (ds.field("rep") == pa.scalar(rep, pa.int32()))
        if isinstance(host, int) and table not in ("workloads",):
            wanted &= ds.field("shard") == pa.scalar(host // SHARD_HOSTS, pa.int32())
        if equal:
            wanted &= _all(equal)
        found = self.catalog.rows(table, wanted).drop_columns(list(PARTITIONS))
        if isinstance(host, int) or (table in SMALL and not equal):
            self._read[key] = found
        return found

    def of_workloads(
        self, table: str, arm: str, rep: int, workloads: Collection[int], columns: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """Return rows of a unit about workloads, whatever hosts they were on.

        Any file may hold some, so these columns of the whole unit are read, but only once.

        Parameters
        ----------
        table : str
        arm, rep
            The unit.
        workloads : collection of int
        columns : tuple of str
            Without the partition columns; ``workload`` among them.
        """
        key = table, arm, rep, columns
        if key not in self._read:
            unit = (ds.field("arm") == arm) & (ds.field("rep") == pa.scalar(rep, pa.int32()))
            self._read[key] = self.catalog.rows(table, unit, columns)
        wanted = ds.field("workload").isin(list(workloads))
        found: list[dict[str, Any]] = self._read[key].filter(wanted).to_pylist()
        return found

    def shard_rows(self, table: str, arm: str, rep: int, shard: int) -> pa.Table:
        """Return the rows of a table and shard of a unit, without the partition columns."""
        wanted = (ds.field("arm") == arm) & (ds.field("rep") == pa.scalar(rep, pa.int32()))
        wanted &= ds.field("shard") == pa.scalar(shard, pa.int32())
        return self.catalog.rows(table, wanted).drop_columns(list(PARTITIONS))

    def file_digests(self) -> dict[str, str]:
        """Return the sha256 of every event file that the records name (InputError: unreadable)."""
        manifest = self.folder / paths.MANIFEST
        records = (
            [manifest] if manifest.exists() else (self.folder / paths.COMMITS).glob("[!.]*.json")
        )
        try:
            files = [f for record in records for f in json.loads(record.read_bytes())["files"]]
            return {str(file["path"]): str(file["sha256"]) for file in files}
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = "unreadable records; fleet verify says more"
            raise InputError(reason, where=str(self.folder)) from error

    def unit(self, arm: str | None, rep: int | None) -> tuple[str, int]:
        """Return the unit that is meant; without a name the first arm and replication.

        Raises
        ------
        InputError
            There is no such arm, or it has no such finished replication.
        """
        known = list(dict.fromkeys(name for name, _ in self.units))
        if arm is not None and arm not in known:
            raise InputError(
                f"{arm!r} is not an arm of this run: {', '.join(known)}", where="--arm"
            )
        name = arm or known[0]
        reps = [number for unit_arm, number in self.units if unit_arm == name]
        if rep is not None and rep not in reps:
            span = f"0 to {max(reps)}" if len(reps) > 1 else str(reps[0])
            raise InputError(f"no replication {rep} of {name} (has {span})", where="--rep")
        return name, reps[0] if rep is None else rep

    def check_host(self, host: int) -> int:
        """Return ``host`` if the run has it (InputError otherwise)."""
        count = self.rows("hosts", *self.units[0]).num_rows
        if not 0 <= host < count:
            raise InputError(f"no host {host}; the run has 0 to {count - 1}", where="--host")
        return host


def _all(equal: dict[str, Any]) -> Any:
    """Return the expression that each column equals its value, or is one of its list."""
    parts = [
        ds.field(name).isin(value) if isinstance(value, list) else ds.field(name) == value
        for name, value in equal.items()
    ]
    return reduce(operator.and_, parts)


def open_source(folder: Path, *, partial: bool = False) -> Source:
    """Open a run folder (InputError: no run, interrupted, damaged, another schema version)."""
    from queries.catalog import QueryError

    try:
        catalog = Catalog.open([folder], partial=partial)
    except QueryError as error:
        raise InputError(str(error)) from error
    if not catalog.runs[0].units:
        raise InputError("no replication is finished yet", where=str(folder))
    return Source(folder, catalog)
