"""What of this machine's Python a session may see: its paths and its environment variables."""

import os
import site
import sys
import sysconfig
from pathlib import Path

_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
)


def library_paths() -> list[str]:
    """The entries of sys.path that hold Python and installed packages: no working directory, no project folder."""
    inside = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    kept = []
    for entry in sys.path:
        is_packages = Path(entry).name in ("site-packages", "dist-packages")
        is_standard = any(Path(entry).is_relative_to(Path(prefix) / "lib") for prefix in inside)
        if entry and Path(entry).is_absolute() and (is_packages or is_standard) and Path(entry).exists():
            kept.append(entry)
    return kept


def readable_paths() -> list[str]:
    """Directories and files to read from: Python, its packages, shared libraries, time zones. Links and their ends."""
    paths = [*_SYSTEM, *library_paths(), *site.getsitepackages()]
    for prefix in (sys.prefix, sys.base_prefix):
        paths += [f"{prefix}/lib", f"{prefix}/lib64", f"{prefix}/pyvenv.cfg"]
    paths += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    existing = [path for path in paths if Path(path).exists()]
    return sorted({*existing, *(os.path.realpath(path) for path in existing)})


def clean_environment() -> dict[str, str]:
    """Everything a session gets; nothing of the solver's own, which may hold keys."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }
