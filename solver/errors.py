"""What can go wrong for a user, as one small tree. Each message is one line: what is wrong and what to do.

A model's mistakes are not errors: they are a `stop_reason`, a `status`, `None`.
"""

import difflib
from collections.abc import Iterable


class SolverError(Exception):
    """An error told to the user in one line; the command ends with `exit_code`."""

    exit_code = 1


class UsageError(SolverError):
    """The command or the configuration asks for something that does not exist."""

    exit_code = 2


class InputError(SolverError):
    """A problem, reference or submission file cannot be used as it is."""


class OutputError(SolverError):
    """A file cannot be written where it was asked for."""


class ModelError(SolverError):
    """No usable model folder."""


class JournalError(SolverError):
    """A journal cannot be read or continued."""


class EngineError(SolverError):
    """The engine did not start, or stopped working."""


class PromptTooLongError(EngineError):
    """A prompt does not fit the context; the engine itself is well."""


class TurnError(SolverError):
    """The engine failed one turn; it goes on with the others."""


class SandboxError(SolverError):
    """No Python session could be started."""


class InterruptedRunError(SolverError):
    """Interrupted before anything was solved, with an earlier run's answers in place."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted before anything was solved: the earlier answers are left as they are")
        self.exit_code = 128 + signal_number


def nearest(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'x'?)", or a list of what there is when nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"there is {', '.join(names)}"
