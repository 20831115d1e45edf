"""A run folder is complete or resumable; writes fail cleanly at every point."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import FleetError, InputError, RunError
from fleet.log.folder import RunFolder
from tests.log.example import SCENARIO, identity, make_units, write_run, write_unit

TABLES = ("hosts", "pins", "requests")
UNITS = {key: {name: unit[name] for name in TABLES} for key, unit in make_units().items()}
CUT = {"part_rows": 32, "batch_rows": 16}


def go_on(path: Path, *, resume: bool, stop_after: int | None = None) -> dict[str, Any] | None:
    """Run or resume the example; return the manifest, None when stopped before the end."""
    with RunFolder.open(path, identity(), SCENARIO, resume=resume) as folder:
        for done, (arm, rep) in enumerate(folder.missing):
            if done == stop_after:
                return None
            write_unit(folder, arm, rep, UNITS[arm, rep], **CUT)
        return folder.finish()


def contents(path: Path) -> dict[str, bytes]:
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole") / "run"
    go_on(path, resume=False)
    return contents(path)


def test_same_command_again_finds_it_complete(tmp_path: Path) -> None:
    path = write_run(tmp_path, UNITS)
    before = contents(path)
    with RunFolder.open(path, identity(), SCENARIO, resume=False) as folder:
        assert folder.complete
        assert folder.missing == []
    assert contents(path) == before


def test_folder_is_named_by_name_and_hash() -> None:
    run = identity()
    assert run.folder_name == f"example-{run.run_hash[:8]}"
    other = [identity(seed=2), identity(content={"hosts": 7}), identity(replications=3),
             identity(arms=("a+b",))]  # fmt: skip
    assert len({run.run_hash, *(o.run_hash for o in other)}) == 5


def test_manifest_does_not_depend_on_what_is_remembered(tmp_path: Path) -> None:
    digests = []
    for name, provenance in (("a", {}), ("b", {"seconds": 3})):
        path = tmp_path / name
        with RunFolder.open(path, identity(), SCENARIO, resume=False) as folder:
            for arm, rep in folder.missing:
                write_unit(folder, arm, rep, UNITS[arm, rep])
            digests.append(folder.finish(provenance)["content_digest"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_resumed_equals_uninterrupted(
    tmp_path: Path, whole: dict[str, bytes], stop_after: int
) -> None:
    path = tmp_path / "run"
    assert go_on(path, resume=False, stop_after=stop_after) is None
    with pytest.raises(InputError, match=rf"{stop_after} of 6 units done; add --resume"):
        go_on(path, resume=False)
    go_on(path, resume=True)
    assert contents(path) == whole


def test_resume_deletes_what_no_commit_names(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path = tmp_path / "run"
    go_on(path, resume=False, stop_after=2)
    stray = path / "events/pins/arm=x+y/rep=0000/shard=0000/part-00000.arrow"
    for file in (stray, stray.with_name(".tmp-part"), path / ".tmp-manifest.json",
                 path / "commits/.tmp-x.json", path / "commits/x+y.0000.json"):  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"{}")
    go_on(path, resume=True)
    assert contents(path) == whole


@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "commit", "moved"])
def test_resume_does_not_trust_a_damaged_unit(
    tmp_path: Path, whole: dict[str, bytes], damage: str
) -> None:
    path = tmp_path / "run"
    go_on(path, resume=False, stop_after=3)
    commits = sorted((path / "commits").iterdir())
    victim = path / json.loads(commits[0].read_text())["files"][2]["path"]
    if damage == "flip":
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    elif damage == "cut":
        os.truncate(victim, 100)
    elif damage == "delete":
        victim.unlink()
    elif damage == "commit":
        commits[0].write_text(commits[0].read_text()[:-50])
    else:
        shutil.copy(commits[0], commits[1])
    with RunFolder.open(path, identity(), SCENARIO, resume=True) as folder:
        assert len(folder.missing) == 4
    go_on(path, resume=True)
    assert contents(path) == whole


def make_text_file(path: Path) -> None:
    path.write_text("hello")


def make_foreign_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("mine")


def make_other_run(path: Path) -> None:
    with RunFolder.open(path, identity(seed=99), SCENARIO, resume=False):
        pass


def make_broken_record(path: Path) -> None:
    path.mkdir()
    (path / "run.json").write_text("{")


def make_shortened_run(path: Path) -> None:
    go_on(path, resume=False)
    os.truncate(sorted(path.rglob("*.arrow"))[0], 10)


def make_emptied_run(path: Path) -> None:
    go_on(path, resume=False)
    sorted(path.rglob("*.arrow"))[0].unlink()


def make_broken_manifest(path: Path) -> None:
    go_on(path, resume=False)
    (path / "manifest.json").write_text("[]")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_text_file, "cannot be made a run folder"),
        (make_foreign_folder, "not empty and not a run folder"),
        (make_other_run, "holds another run"),
        (make_broken_record, "unreadable run record"),
        (make_shortened_run, "size differs from the manifest"),
        (make_emptied_run, "damaged run: No such file"),
        (make_broken_manifest, "unreadable manifest"),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_other_folders_are_left_alone(tmp_path: Path, make: Any, reason: str, resume: bool) -> None:
    path = tmp_path / "run"
    make(path)
    before = contents(path) if path.is_dir() else path.read_bytes()
    with pytest.raises(InputError, match=reason) as caught:
        RunFolder.open(path, identity(), SCENARIO, resume=resume)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert (contents(path) if path.is_dir() else path.read_bytes()) == before


def test_folder_that_cannot_be_made() -> None:
    with pytest.raises(InputError, match="cannot be made a run folder"):
        RunFolder.open(Path("/proc/fleet/run"), identity(), SCENARIO, resume=False)


def test_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # noqa: ARG005 (root may always)
    with pytest.raises(InputError, match="not writable"):
        RunFolder.open(tmp_path / "run", identity(), SCENARIO, resume=False)


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    other = pytest.raises(InputError, match="another process is writing this run")
    with RunFolder.open(path, identity(), SCENARIO, resume=False), other:
        RunFolder.open(path, identity(), SCENARIO, resume=True)
    with RunFolder.open(path, identity(), SCENARIO, resume=True):
        pass


class FailingDisk:
    """Fails the n-th system call that changes the disk, as a full or broken disk would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int | None) -> None:
        self.count, self.fail_at = 0, fail_at
        real_fsync, real_rename, real_open = os.fsync, Path.rename, Path.open

        def fsync(handle: int) -> None:
            self.tick(errno.EIO)
            real_fsync(handle)

        def rename(source: Path, target: Path) -> Path:
            self.tick(errno.EIO)
            return real_rename(source, target)

        def open_file(path: Path, mode: str = "r", **rest: Any) -> Any:
            file = real_open(path, mode, **rest)
            return FailingFile(file, self) if mode == "wb" else file

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "rename", rename)
        monkeypatch.setattr(Path, "open", open_file)

    def tick(self, code: int) -> None:
        self.count += 1
        if self.count == self.fail_at:
            raise OSError(code, os.strerror(code))


class FailingFile:
    """A file whose write may fill the disk half-way."""

    def __init__(self, file: Any, owner: FailingDisk) -> None:
        self._file, self._owner = file, owner

    def write(self, data: bytes) -> int:
        try:
            self._owner.tick(errno.ENOSPC)
        except OSError:
            self._file.write(bytes(data)[: len(data) // 2])
            raise
        return int(self._file.write(data))

    def __enter__(self) -> "FailingFile":
        return self

    def __exit__(self, *args: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def small_run(path: Path, *, resume: bool) -> None:
    """Run a unit of one small file."""
    few = identity(arms=("a+b",), replications=1)
    hosts = UNITS["linux-5.13+unbounded", 0]["hosts"]
    with RunFolder.open(path, few, SCENARIO, resume=resume) as folder:
        for arm, rep in folder.missing:
            write_unit(folder, arm, rep, {"hosts": hosts})
        folder.finish()


def test_every_failing_write_is_one_line_and_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        counting = FailingDisk(patch, None)
        small_run(tmp_path / "whole", resume=False)
    expected, points = contents(tmp_path / "whole"), counting.count
    assert points == 4 * 5, "write, fsync, rename and the folder's fsync of five files"
    for n in range(1, points + 1):
        path = tmp_path / f"fail-{n}"
        with monkeypatch.context() as patch:
            FailingDisk(patch, n)
            with pytest.raises(RunError) as caught:
                small_run(path, resume=False)
        assert isinstance(caught.value, FleetError)
        told = str(caught.value)
        assert "\n" not in told
        assert told.startswith(f"{path}/")
        assert "cannot write: " in told
        assert not (path / "manifest.json").exists()
        assert not list(path.rglob(".tmp-*"))
        small_run(path, resume=True)
        assert contents(path) == expected
