"""How model-written Python runs: in a child process that we own and can kill."""

from solver.config import SandboxLimits
from solver.sandbox.session import PythonSession, SandboxPool
from solver.types import ExecutionResult

__all__ = ["ExecutionResult", "PythonSession", "SandboxLimits", "SandboxPool"]
