"""How model-written Python runs: in a confined child process that we own and can kill.

`pool` and `session` are what the solver uses; `process` and `host` are its handles on processes; what runs in those is
`zygote` (preloads the libraries, forks sessions), `confine` (the layers around a session) and `worker` (its loop).
"""

from solver.config import SandboxLimits
from solver.sandbox.layers import SandboxReport, probe_layers
from solver.sandbox.pool import SandboxPool
from solver.sandbox.session import PythonSession
from solver.types import ExecutionResult

__all__ = ["ExecutionResult", "PythonSession", "SandboxLimits", "SandboxPool", "SandboxReport", "probe_layers"]
