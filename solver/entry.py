"""How a command line ends, the same for `solver`, `merge` and `submission`: an error is one line on standard error.

Exit codes: 0 done; 1 an error; 2 usage; 130 interrupted; 143 ended by SIGTERM; what `sys.exit` was given otherwise.
"""

import signal
import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from solver.errors import SolverError

_INTERRUPTED = 130
_COMPLETION = ("--install-completion", "--show-completion")


def run_commands(
    app: typer.Typer, *, interrupted: str, extra: str | None = None, command: str | None = None
) -> NoReturn:
    """Run the command that stands in `sys.argv` and leave with its exit code.

    `interrupted` is what Ctrl-C before anything was done is told as; `extra` names the optional dependencies in
    pyproject.toml that the commands need: where one is not installed, the line says how to install it. `command` is the
    installed command's name: a shell completes the words behind that, not behind `python -m`.
    """
    is_bare = not sys.argv[1:] and app.info.no_args_is_help
    try:
        name = command if any(it.startswith(_COMPLETION) for it in sys.argv[1:]) else None
        code = app(["--help"] if is_bare else None, standalone_mode=False, prog_name=name)
    except TyperException as error:
        _fail(error.format_message().replace("\n", " "), 2)
    except (typer.Abort, KeyboardInterrupt):
        _fail(interrupted, _INTERRUPTED)
    except _Terminated as ended:
        _fail(interrupted, ended.code)
    except SolverError as error:
        _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if extra is None:
            raise
        _fail(f"{error.name} is not installed: pip install -c constraints.txt '.[{extra}]'", 1)
    if code == _INTERRUPTED:  # typer takes a KeyboardInterrupt for itself, without a word
        _fail(interrupted, _INTERRUPTED)
    sys.exit(2 if is_bare else code if isinstance(code, int) else 0)


class _Terminated(SystemExit):
    code = 143


def unwind_on_sigterm() -> None:
    """SIGTERM ends the command as Ctrl-C does, by an exception: on the way out, child processes are ended and gigabytes
    of half-done work removed."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise _Terminated(_Terminated.code)


def _fail(message: str, exit_code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(exit_code)
