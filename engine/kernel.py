"""The one decorator of all compiled functions, and where their machine code is kept.

Without Numba's run-time (``_nrt=False``) a helper that takes array arguments pays no atomic
reference counting: the same loop costs 3 ns a page instead of 147 ns with plain ``njit``
(measured with Numba 0.68). The price: kernels cannot allocate, and return scalars only.

Numba's cache does not notice that a helper in another file changed. So the cache directory is
named by the digest of all engine sources, the Numba version and the CPU, and all copies of these
sources share it (``engine.locator``). ``FLEET_BOUNDSCHECK=1``
compiles with index checks (an index out of range otherwise returns garbage silently).
"""

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

BOUNDSCHECK = os.environ.get("FLEET_BOUNDSCHECK") == "1"


def _digest() -> str:
    """Digest of what the machine code depends on."""
    from importlib.metadata import version

    h = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        h.update(path.name.encode() + b"\0" + path.read_bytes())
    h.update(f"{version('numba')} {platform.machine()} {BOUNDSCHECK}".encode())
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        h.update("\n".join(s for s in lines[:40] if s.startswith(("model name", "flags"))).encode())
    return h.hexdigest()[:16]


def cache_dir() -> Path:
    """Directory of the compiled kernels of exactly these sources on this CPU."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base) / "fleet" / f"kernels-{_digest()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        path = Path(tempfile.gettempdir()) / f"fleet-kernels-{os.getuid()}" / path.name
        path.mkdir(parents=True, exist_ok=True)
    return path


CACHE_DIR = cache_dir()
os.environ["NUMBA_CACHE_DIR"] = str(CACHE_DIR)

import numba  # noqa: E402  the cache directory is read when numba is imported

numba.config.CACHE_DIR = str(CACHE_DIR)
_LOCATORS = numba.config.CACHE_LOCATOR_CLASSES or (
    "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator,IPythonCacheLocator,"
    "ZipCacheLocator"
)
numba.config.CACHE_LOCATOR_CLASSES = f"engine.locator.ByContent,{_LOCATORS}"


_KERNELS: list[Any] = []
_ENTRIES: list[Any] = []


def kernel(function: F) -> F:
    """Mark a function of the hot path: first argument the host's arrays, then integers.

    It is compiled by ``compile_kernels`` with exactly these types, once; Python cannot call it.
    """
    compiled = numba.njit(
        _nrt=False,
        boundscheck=BOUNDSCHECK,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)
    _KERNELS.append(compiled)
    result: F = compiled
    return result


def part(function: F) -> F:
    """Mark a kernel that becomes a part of each kernel that calls it: a hot one with few callers.

    A call costs some nanoseconds: results go through memory. The compiler spares it for small
    functions by itself.
    """
    result: Any = kernel(function)
    result.targetoptions["forceinline"] = True
    return cast(F, result)


def scalar(function: F) -> F:
    """Mark a function of scalars that are not int64."""
    compiled: F = numba.njit(_nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return compiled


def entry(function: F) -> F:
    """Mark a function that Python calls; cached on disk with everything it calls."""
    compiled = numba.njit(_nrt=False, cache=True, boundscheck=BOUNDSCHECK, error_model="numpy")(
        function
    )
    _ENTRIES.append(compiled)
    result: F = compiled
    return result


def compile_kernels(types: dict[str, Any], announce: Callable[[str], None]) -> None:
    """Compile or load all entries. ``types`` maps argument names that are not integers.

    A kernel is compiled after those it calls, for one signature: left to itself Numba would make a
    version for every mix of integer widths.
    """
    if all(d.signatures for d in _ENTRIES):
        return
    if all(_load(d, _signature(d, types)) for d in _ENTRIES):
        return
    announce("compiling the engine (once for this version and CPU) ...")
    done: set[int] = set()
    with _link_only():
        for dispatcher in _KERNELS:
            _compile(dispatcher, types, done)
    for dispatcher in _ENTRIES:
        if not dispatcher.signatures:  # another process may have saved some of them by now
            dispatcher.compile(_signature(dispatcher, types))
            dispatcher.disable_compile()


def _load(dispatcher: Any, signature: tuple[Any, ...]) -> bool:
    """Load an entry from the disk cache; False when it is not there (or its file is newer)."""
    found = dispatcher._cache.load_overload(signature, dispatcher.targetctx)
    if found is None:
        return False
    dispatcher.targetctx.insert_user_function(found.entry_point, found.fndesc, [found.library])
    found.library._shared_module = None  # for those that would link it; of no use to an entry
    dispatcher.add_overload(found)
    dispatcher.disable_compile()
    return True


@contextmanager
def _link_only() -> Iterator[None]:
    """Make no machine code for what is only ever linked into an entry.

    Numba optimises and emits every function together with all it calls, again at each level of
    the call tree: 95 s instead of 20 s for this engine. The entries do it once for everything.
    """
    library, codegen = numba.core.codegen.JITCodeLibrary, numba.core.codegen.JITCPUCodegen
    optimise, finalise = library._optimize_final_module, library._finalize_final_module
    set_env = codegen.set_env

    def finalise_only(self: Any) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def nothing(*_: Any) -> None:
        """Kernels raise nothing, so their environment is never read."""

    library._optimize_final_module = nothing
    library._finalize_final_module = finalise_only
    codegen.set_env = nothing
    try:
        yield
    finally:
        library._optimize_final_module = optimise
        library._finalize_final_module = finalise
        codegen.set_env = set_env


def _signature(dispatcher: Any, types: dict[str, Any]) -> tuple[Any, ...]:
    """Argument types of a kernel by the names of its arguments."""
    code = dispatcher.py_func.__code__
    names = code.co_varnames[: code.co_argcount]
    return tuple(types.get(name, numba.int64) for name in names)


def _compile(dispatcher: Any, types: dict[str, Any], done: set[int]) -> None:
    """Compile a kernel after the kernels it calls."""
    if id(dispatcher) in done:
        return
    done.add(id(dispatcher))
    function = dispatcher.py_func
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if called in _KERNELS:
            _compile(called, types, done)
    dispatcher.compile(_signature(dispatcher, types))
    dispatcher.disable_compile()
