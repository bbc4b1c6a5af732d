"""What a model family settles in a configuration: whatever the preset, the file and the command left open."""

from typing import Any, TypeVar

from solver.chat.family import Family
from solver.config import Section, SolverConfig
from solver.errors import UsageError

S = TypeVar("S", bound=Section)

_MAX_MODEL_LEN = 40_960  # a KV cache for longer attempts is a choice that a preset makes for a GPU
_MAX_TOKENS = 32_768
_CHATML_FAMILIES = ("openmath", "openmath-kaggle", "miniature")


def settle(config: SolverConfig, family: Family) -> SolverConfig:
    """The configuration with the family's own sampling, limits and number of code calls where nothing names others.

    Raises:
        UsageError: the configuration asks for what the family cannot do.
    """
    _check(config, family)
    sampling = family.sampling
    return config.model_copy(
        update={
            "chat": _filled(config.chat, family=family.name, max_code_calls=family.max_code_calls, force=("family",)),
            "sampling": _filled(
                config.sampling,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                min_p=sampling.min_p,
            ),
            "attempts": _filled(config.attempts, max_tokens=min(family.max_tokens, _MAX_TOKENS)),
            "engine": _filled(config.engine, max_model_len=min(family.context, _MAX_MODEL_LEN)),
        }
    )


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


def _filled(section: S, force: tuple[str, ...] = (), **values: Any) -> S:
    left_open = {name: value for name, value in values.items() if name not in section.model_fields_set or name in force}
    return section.model_copy(update=left_open)
