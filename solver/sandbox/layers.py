"""What confines model-written Python on this machine, for `doctor`, the journal's first line and error messages."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from solver.config import SandboxLimits
from solver.sandbox.host import Zygote, ZygoteKey


@dataclass(frozen=True, slots=True)
class SandboxReport:
    layers: dict[str, dict[str, Any]]
    """Name to {"on": whether it is used, "detail": how, or why not}."""
    problem: str | None
    """Why code must not be run here; None where it may."""
    missing_libraries: dict[str, str]
    """Of the mathematics libraries, with the reason; known once they have been loaded."""
    preload_seconds: float

    @classmethod
    def of(cls, zygote: Zygote) -> "SandboxReport":
        return cls(zygote.layers or {}, zygote.problem, zygote.missing, zygote.preload_seconds)

    def as_record(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """One line a layer, one for each missing library."""
        lines = [f"{name}: {'yes' if it['on'] else 'no'} ({it['detail']})" for name, it in self.layers.items()]
        lines += [f"{name}: cannot be imported ({why})" for name, why in self.missing_libraries.items()]
        return lines if self.problem is None else [*lines, f"code cannot be run safely: {self.problem}"]


def probe_layers(limits: SandboxLimits | None = None) -> SandboxReport:
    """Start a zygote of its own, see what it could do, and end it. Takes as long as loading the libraries.

    Raises:
        SandboxError: no process can be started.
    """
    return asyncio.run(_probe(limits or SandboxLimits()))


async def _probe(limits: SandboxLimits) -> SandboxReport:
    zygote = Zygote(ZygoteKey(limits.without_layers, is_unsafe=True))
    try:
        await zygote.until_ready()
        report = SandboxReport.of(zygote)
    finally:
        await zygote.close()
    return report
