"""What Kaggle's gateway can report, and what this package tells the user."""

from enum import IntEnum

from solver.errors import SolverError


class BundleError(SolverError):
    """A bundle cannot be made, checked or pushed as it is; told in one line before anything is written."""


class HealthError(SolverError):
    """The model or the machine is not what the submission was made for."""


class RehearsalError(SolverError):
    """A rehearsal cannot be run on this machine."""


class ErrorType(IntEnum):
    """`ErrorType` of Kaggle's result.json. GRPC_DEADLINE_EXCEEDED is not known to 0.3.0."""

    UNSPECIFIED = 0
    SERVER_NEVER_STARTED = 1
    SERVER_CONNECTION_FAILED = 2
    SERVER_RAISED_EXCEPTION = 3
    SERVER_MISSING_ENDPOINT = 4
    GATEWAY_RAISED_EXCEPTION = 5
    INVALID_SUBMISSION = 6
    GRPC_DEADLINE_EXCEEDED = 7


class GatewayError(Exception):
    """How a run ended for Kaggle's gateway."""

    def __init__(self, kind: ErrorType, details: str) -> None:
        super().__init__(f"{kind.name}: {details}")
        self.kind, self.details = kind, details
