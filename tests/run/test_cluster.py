"""A Ray session of our own: small, and Ray itself is left as it was."""

import time
from pathlib import Path

import pytest

from fleet.run import cluster
from fleet.run.cluster import ray_session

HELPERS = ("dashboard/dashboard.py", "log_monitor.py", "autoscaler/_private/monitor.py")


def commands() -> list[str]:
    """Command lines of all processes that run now."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # it has ended meanwhile
    return found


@pytest.mark.ray
def test_a_session_of_our_own_has_no_helpers() -> None:
    from ray._private import node, parameter

    plain = (parameter.RayParams, node.Node.start_api_server)
    with ray_session(None, 1):
        import ray

        folder = ray._private.worker._global_node.get_temp_dir_path()
        ours = [line for line in commands() if folder in line]
        assert any("raylet" in line for line in ours)
        assert [name for name in HELPERS if any(name in line for line in ours)] == []
        assert ray.get(ray.remote(lambda: 7).remote()) == 7
    assert (parameter.RayParams, node.Node.start_api_server) == plain
    deadline_s = time.monotonic() + 20
    while any(folder in line for line in commands()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert not any(folder in line for line in commands()), "nothing is left"


def test_what_ray_does_not_have_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import node, parameter

    def other(plain_name: str) -> str:
        return plain_name

    monkeypatch.setattr(parameter, "RayParams", other)
    monkeypatch.setattr(node.Node, "start_api_server", 7)
    with cluster._without_helpers():
        assert parameter.RayParams is other
        assert node.Node.start_api_server == 7
    monkeypatch.delattr(parameter, "RayParams")
    monkeypatch.delattr(node, "Node")
    with cluster._without_helpers():
        assert not hasattr(parameter, "RayParams")
