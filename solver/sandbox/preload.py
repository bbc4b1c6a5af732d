"""What the zygote imports, so that sessions have it at once and where files are out of reach. Child side.

Besides speed this is a matter of correctness: parts that libraries load late (scipy.optimize, encodings.idna) must be
there in a session that cannot read their files.
"""

import contextlib
import importlib
import io
import pkgutil
import sys
import warnings
from collections.abc import Iterator

LIBRARIES = ("sympy", "mpmath", "numpy", "scipy", "networkx")

_STANDARD = """
abc array ast asyncio base64 bisect calendar cmath collections.abc colorsys concurrent.futures.thread
concurrent.futures.process contextlib copy csv ctypes datetime decimal difflib doctest dis email encodings.idna
encodings.ascii encodings.latin_1 encodings.unicode_escape encodings.raw_unicode_escape enum fractions functools gc
getpass glob gzip hashlib heapq html inspect io itertools json keyword linecache logging math mmap
multiprocessing.pool multiprocessing.dummy numbers operator os pathlib pdb pickle pickletools platform pprint pydoc
queue random re resource sched secrets select selectors shlex shutil signal socket sqlite3 stat statistics string
struct subprocess sys sysconfig tempfile textwrap threading time timeit token tokenize traceback tracemalloc types
typing unittest urllib.parse urllib.request uuid warnings weakref zipfile zlib zoneinfo
"""

_SUBMODULES = """
sympy.abc sympy.combinatorics sympy.combinatorics.named_groups sympy.crypto sympy.discrete sympy.functions
sympy.functions.combinatorial.numbers sympy.geometry sympy.integrals sympy.integrals.manualintegrate
sympy.integrals.risch sympy.integrals.heurisch sympy.logic sympy.logic.boolalg sympy.matrices sympy.ntheory
sympy.ntheory.continued_fraction sympy.ntheory.ecm sympy.ntheory.egyptian_fraction sympy.ntheory.qs sympy.polys
sympy.polys.numberfields sympy.polys.numberfields.minpoly sympy.polys.polyfuncs sympy.parsing.sympy_parser
sympy.printing sympy.series.gruntz sympy.sets sympy.simplify sympy.simplify.fu sympy.solvers.diophantine
sympy.solvers.diophantine.diophantine sympy.solvers.inequalities sympy.solvers.ode sympy.solvers.recurr sympy.stats
sympy.tensor sympy.utilities.autowrap sympy.utilities.iterables sympy.utilities.lambdify numpy.fft numpy.linalg
numpy.polynomial numpy.random numpy.testing scipy.cluster scipy.constants scipy.fft scipy.integrate scipy.interpolate
scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse scipy.sparse.csgraph scipy.sparse.linalg
scipy.spatial scipy.spatial.distance scipy.special scipy.stats networkx.algorithms.approximation
networkx.algorithms.bipartite networkx.algorithms.flow networkx.algorithms.isomorphism
"""

_POOL, _BYTES_HEADER, _MAX_FILLERS = 16 << 10, 33, 20_000


def load(*, all_submodules: bool = False) -> dict[str, str]:
    """Import everything; what is missing of `LIBRARIES`, with the reason. Other modules are passed over in silence:
    a Python may be built without sqlite3."""
    missing: dict[str, str] = {}
    with _quiet():
        for name in LIBRARIES:
            try:
                importlib.import_module(name)
            except Exception as error:  # noqa: BLE001  a broken library raises what it likes; it is reported
                missing[name] = f"{type(error).__name__}: {error}"
        for name in f"{_STANDARD} {_SUBMODULES}".split():
            _try_import(name)
        for name in LIBRARIES if all_submodules else ():
            _import_below(name)
        _use_once()
    return missing


def fill_holes() -> list[object]:
    """Objects that take the free places between those of the libraries; to be kept.

    What a session allocates first then comes from pages of its own, and not from one hole in each of hundreds of
    pages that it would otherwise share with the zygote. A fresh pool of CPython's allocator (Objects/obmalloc.c:
    16 KiB, one size of object) shows in addresses that stay within it.
    """
    kept: list[object] = []
    for size in range(16, 513, 16):
        in_a_row = last_pool = 0
        for _ in range(_MAX_FILLERS):
            filler: object = object() if size == 16 else float(in_a_row) if size == 32 else bytes(size - _BYTES_HEADER)
            kept.append(filler)
            in_a_row, last_pool = (in_a_row + 1 if id(filler) // _POOL == last_pool else 0), id(filler) // _POOL
            if in_a_row > _POOL // size - 8:
                break
    return kept


def _import_below(package: str) -> None:
    paths = getattr(sys.modules.get(package), "__path__", ())
    for module in pkgutil.walk_packages(paths, f"{package}.", onerror=lambda _: None):
        if not any(word in module.name for word in (".tests", "conftest", "__main__", "benchmarks", "f2py", ".setup")):
            _try_import(module.name)


def _try_import(name: str) -> None:
    with contextlib.suppress(Exception, SystemExit):
        importlib.import_module(name)


def _use_once() -> None:
    """Some modules are only loaded by a first use."""
    with contextlib.suppress(Exception):
        "a".encode("idna").decode("ascii")
        numpy, sympy = sys.modules["numpy"], sys.modules["sympy"]
        numpy.linalg.solve(numpy.eye(2), numpy.ones(2))
        x = sympy.Symbol("x")
        str(sympy.solve(x**2 - 2, x)), sympy.factorint(91), sympy.latex(sympy.sqrt(x))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
