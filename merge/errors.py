"""What can go wrong for someone who merges; each message is one line that says what to do."""

from solver.errors import SolverError


class RecipeError(SolverError):
    """A recipe that cannot be read, or asks for what no merge method here does."""


class CheckpointError(SolverError):
    """A folder that is no whole checkpoint, or does not fit the others of its recipe."""


class MergeError(SolverError):
    """The merge itself failed, or its result may not be written where it was asked for."""
