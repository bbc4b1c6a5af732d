"""What a model family settles in a configuration: whatever the preset, the file and the command left open."""

from typing import Any

from solver.chat.family import Family
from solver.config import SolverConfig
from solver.errors import UsageError

MAX_MODEL_LEN = 40_960
MAX_TOKENS = 32_768
_CHATML_FAMILIES = ("openmath", "openmath-kaggle", "miniature")


def settle(config: SolverConfig, family: Family) -> SolverConfig:
    """The configuration with the family's own sampling, limits and number of code calls where nothing names others.

    Raises:
        UsageError: the configuration asks for what the family cannot do.
    """
    _check(config, family)
    sections: dict[str, dict[str, Any]] = {}
    for key, value in family_values(family).items():
        section, _, name = key.partition(".")
        if name not in getattr(config, section).model_fields_set:
            sections.setdefault(section, {})[name] = value
    sections.setdefault("chat", {})["family"] = family.name
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=update) for name, update in sections.items()}
    )


def family_values(family: Family) -> dict[str, Any]:
    """What the family fills in, by setting (`solver.config.LEFT_TO_THE_FAMILY`). Its longest attempt and its context
    are cut to what most GPUs hold: a KV cache for longer attempts is a choice that a preset makes for a GPU."""
    sampling = family.sampling
    return {
        "chat.max_code_calls": family.max_code_calls,
        "sampling.temperature": sampling.temperature,
        "sampling.top_p": sampling.top_p,
        "sampling.top_k": sampling.top_k,
        "sampling.min_p": sampling.min_p,
        "attempts.max_tokens": min(family.max_tokens, MAX_TOKENS),
        "engine.max_model_len": min(family.context, MAX_MODEL_LEN),
    }


def family_sources(family: Family) -> dict[str, str]:
    """Where each of them comes from, in words."""
    whole = {"attempts.max_tokens": family.max_tokens, "engine.max_model_len": family.context}
    return {
        key: f"family {family.name}" + (f", cut from {whole[key]}" if whole.get(key, value) != value else "")
        for key, value in family_values(family).items()
    }


def scripted_chat(config: SolverConfig) -> SolverConfig:
    """The same for the scripted engine, whose texts speak OpenMath's format: any preset can be rehearsed with it."""
    if config.chat.family in _CHATML_FAMILIES:
        return config
    chat = {"family": "openmath", "effort": None, "cot_prompt": None, "tir_prompt": None}
    attempts = {"thinking_tokens": None}
    return config.model_copy(
        update={
            "chat": config.chat.model_copy(update=chat),
            "attempts": config.attempts.model_copy(update=attempts),
        }
    )


def notes(config: SolverConfig, family: Family) -> list[str]:
    """What a user should know before the run."""
    asks_for_code = not config.attempts.mix and config.attempts.tir_share > 0
    if asks_for_code and "tir" not in family.modes:
        return [f"the family '{family.name}' was not trained to call code: every attempt reasons in text"]
    return []


def _check(config: SolverConfig, family: Family) -> None:
    for kind in config.attempts.kinds:
        if kind.mode not in family.modes:
            raise UsageError(f"attempts.mix: the family '{family.name}' was not trained to call code: use cot alone")
        if kind.effort is not None and kind.effort not in family.efforts:
            known = ", ".join(family.efforts) or "none"
            raise UsageError(f"attempts.mix: the family '{family.name}' has no effort {kind.effort}; it has {known}")
    if config.attempts.thinking_tokens is not None and family.thinking.budget_end is None:
        raise UsageError(f"attempts.thinking_tokens: the family '{family.name}' was not made to be stopped thinking")
