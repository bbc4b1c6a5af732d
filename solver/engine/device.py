"""What the machine can compute with, as far as an engine must know before it loads anything."""

from pathlib import Path

WAIT_POLICY = "PASSIVE"
"""OpenMP threads sleep while they wait for each other (OpenMP 6.0, OMP_WAIT_POLICY). By default they spin, and beside
another program use up their turn on the core by spinning: an engine falls to a tenth of its speed where four fifths
are to be had (`python -m bench shared_core`)."""


def has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16; on one that does not, bfloat16 is four times slower than float32."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
