"""Whatever the text, loading it ends in a scenario or in one line."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.errors import InputError
from fleet.scenario.load import load_scenario
from tests.scenario.bad_inputs import BASE

SNIPPETS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["- ", ": ", "[", "]", "{", "}", "null", "~", "-1", "1e999", "0x10", "5%", "\n  ", "&a ",
         "*a", "!!python/object:os.system ", "'", '"', "|\n", ">-\n", "? ", "---\n", "%YAML 1.1\n",
         "<<: {a: 1}\n", "9" * 40, "true", "1_000", "\ufeff", "\x00", "\t", "#"]
    ),
)  # fmt: skip
VALUES = st.one_of(
    SNIPPETS,
    st.sampled_from(["[]", "{}", "[[]]", "{a: {b: 1}}", "[1, a, null]", "1GiB", "100%", "5/h"]),
)
FIELDS = st.sampled_from(
    ["name", "arms", "arms[0]", "hosts", "hosts.classes", "hosts.classes[0]",
     "hosts.classes[1].share",
     "workloads", "workloads.kinds", "workloads.mix", "workloads.generators[0].mix",
     "workloads.generators[0].lifetime", "workloads.generators[0].sizes[0]", "workloads.hint",
     "removals", "removals.bytes", "probes", "watchdog.boot", "executor", "digests",
     "digests.trace",
     "inventory", "trace", "seed", "samples", "a.b.c", "hosts.0", "x[3]"]
)  # fmt: skip
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def loads_or_tells(source: str, sets: list[str], place: str | tuple[str, ...]) -> None:
    told = None
    try:
        load_scenario(source, sets)
    except InputError as error:
        told = error
    if told is not None:
        assert "\n" not in str(told)
        assert told.reason
        assert len(str(told)) < 2_000
        assert told.where.startswith(place)


@SETTINGS
@given(st.integers(0, len(BASE)), st.integers(0, 8), SNIPPETS)
def test_torn_files(tmp_path: Path, at: int, drop: int, snippet: str) -> None:
    file = tmp_path / "s.yaml"
    text = BASE[:at] + snippet + BASE[at + drop :]
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_tells(str(file), [], str(file))


@SETTINGS
@given(FIELDS, VALUES)
def test_odd_overrides(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "s.yaml"
    if not file.exists():
        file.write_text(BASE)
    loads_or_tells(str(file), [f"{name}={value}"], (str(file), "--set"))
