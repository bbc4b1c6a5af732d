"""The whole configuration as TOML that `--config` reads, with where each setting comes from.

What nobody set and the model's family fills in stands as a comment: as a value it would win over the family.
"""

import json
from collections.abc import Mapping
from typing import Any

from solver.config import LEFT_TO_THE_FAMILY, SolverConfig


def resolved_toml(config: SolverConfig, sources: Mapping[str, str]) -> str:
    """`config` as it was loaded; `sources` as of `setting_sources`. A setting without a value is a comment too."""
    lines, sections = [], []
    for name, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            sections.append((name, value))
        else:
            lines.append(_line(name, value, sources))
    while sections:
        section, values = sections.pop(0)
        lines += ["", f"[{section}]"]
        for name, value in values.items():
            if isinstance(value, dict):
                sections.insert(0, (f"{section}.{name}", value))
            else:
                lines.append(_line(f"{section}.{name}", value, sources))
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, sources: Mapping[str, str]) -> str:
    name = key.rpartition(".")[2]
    source = sources.get(key)
    if source is None and key in LEFT_TO_THE_FAMILY:
        return f"# {name} is left open: the model's family fills it in"
    if value is None:
        return f"# {name} is left open"
    return f"{name} = {_value(value)}  # {source or 'default'}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_value(v)}" for name, v in value.items() if v is not None) + " }"
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
