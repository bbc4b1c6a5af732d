"""Command lines of Python processes that work for this one. The system ends each when the thread that started it ends,
however it ends: SIGKILL would otherwise leave them at work for hours, in a folder that the next run clears.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
"""Where `merge` and `solver` are imported from: a checkout, or site-packages."""

_DIE_WITH_US = "import ctypes; ctypes.CDLL(None).prctl(1, 9)\n"  # PR_SET_PDEATHSIG, SIGKILL
_RUN_MODULE = """import runpy, sys
root, module = sys.argv.pop(1), sys.argv.pop(1)
if root not in sys.path:
    sys.path.insert(0, root)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def python_code(code: str, *arguments: str, python: str | Path = sys.executable) -> list[str]:
    """`python -c code arguments`, importing nothing from the working folder. The thread that starts it must stay, and
    wait for it."""
    return [str(python), "-P", "-c", _DIE_WITH_US + code, *arguments]


def python_module(module: str, *arguments: str) -> list[str]:
    """`python -m module arguments`, for a module of this repository, whatever folder it runs in."""
    return python_code(_RUN_MODULE, str(ROOT), module, *arguments)
