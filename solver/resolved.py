"""The presets, and the whole configuration as TOML that `--config` reads, with where each setting comes from.

What nobody set and the model's family fills in stands as a comment: as a value it would win over the family.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from solver.chat import choose_family, find_family
from solver.chat.family import Family
from solver.chat.recognise import Recognition
from solver.chat.settle import family_sources, family_values, settle
from solver.config import (
    DEFAULT_PRESET,
    LEFT_TO_THE_FAMILY,
    SolverConfig,
    preset_comment,
    preset_names,
    preset_path,
)
from solver.model import check_model


def preset_lines() -> Iterator[str]:
    """Where the presets lie, and of each what it is for and where its numbers come from."""
    yield f"presets, in {preset_path(DEFAULT_PRESET).parent}:"
    fill = textwrap.TextWrapper(100, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    for name in preset_names():
        yield from fill.wrap(f"{name}: {preset_comment(name)}")


def known_family(config: SolverConfig) -> Recognition | None:
    """The family that a run would settle on: named in the configuration, or recognised in its model folder. None where
    neither is given, or texts are played.

    Raises:
        UsageError: no such family, or the configuration asks for what it cannot do.
        ModelError: the folder is no model, or its family cannot be told.
    """
    folder, name = config.engine.model, config.chat.family
    if config.engine.name == "scripted" or (folder is None and name == "auto"):
        return None
    if folder is not None:
        check_model(folder)
    found = choose_family(name, folder)
    settle(config, find_family(found.family or ""))
    return found


def resolved_toml(config: SolverConfig, sources: Mapping[str, str], found: Recognition | None = None) -> str:
    """`config` as it was loaded; `sources` as of `setting_sources`. A setting without a value is a comment too.

    With a family the comments tell its values, which stay open: another model that the file is used with has its own.
    """
    lines, sections = [], []
    family = None
    if found is not None:
        family = find_family(found.family or "")
        lines.append(f"# model family {family.name}: {found.reason}")
    for name, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            sections.append((name, value))
        else:
            lines.append(_line(name, value, sources, family))
    while sections:
        section, values = sections.pop(0)
        lines += ["", f"[{section}]"]
        for name, value in values.items():
            if isinstance(value, dict):
                sections.insert(0, (f"{section}.{name}", value))
            else:
                lines.append(_line(f"{section}.{name}", value, sources, family))
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, sources: Mapping[str, str], family: Family | None) -> str:
    name = key.rpartition(".")[2]
    source = sources.get(key)
    if source is None and key in LEFT_TO_THE_FAMILY:
        if family is not None:
            return f"# {name} = {_value(family_values(family)[key])}  # {family_sources(family)[key]}"
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
