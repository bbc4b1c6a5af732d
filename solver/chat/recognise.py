"""Which family a model folder belongs to, and why: by its config and chat template, then, where several families write
alike, by the names it carries. An explicit `chat.family` wins."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solver.chat.families import AUTO, FAMILIES, find_family
from solver.errors import ModelError

_OPENED_THINKING = re.compile(r"assistant(?:\\n|\n)<think>")


@dataclass(frozen=True, slots=True)
class Recognition:
    family: str | None
    """None: it cannot be told."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Signs:
    model_type: str
    template: str
    names: str
    """What the folder, its config and its merge recipe call it, in lower case."""
    merged: str
    """The merge recipe alone."""


def choose_family(name: str, folder: Path | None) -> Recognition:
    """The family to use, and why. Without a folder (the scripted engine) `auto` means openmath.

    Raises:
        UsageError: there is no family of that name.
        ModelError: the folder's family cannot be told.
    """
    if name != AUTO:
        return Recognition(find_family(name).name, "chat.family names it")
    if folder is None:
        return Recognition("openmath", "there is no model folder to look at")
    found = recognise(folder)
    if found.family is None:
        known = ", ".join(FAMILIES)
        raise ModelError(
            f"cannot tell the model family of {folder} ({found.reason}): name it with --set chat.family=NAME, "
            f"one of {known} (docs/families.md)"
        )
    return found


def recognise(folder: Path) -> Recognition:
    """What the folder looks like. Raises ModelError where config.json cannot be read."""
    signs = _read_signs(folder)
    kind = f"model_type {signs.model_type or 'unknown'}"
    if signs.model_type == "gpt_oss" or "<|channel|>" in signs.template:
        return Recognition("gpt-oss", f"{kind}, harmony")
    if not signs.template:
        return _by_name(signs, f"{kind}, and no chat template in chat_template.jinja or tokenizer_config.json")
    if "<SPECIAL_10>" in signs.template:
        return Recognition("nemotron-nano-v2", f"{kind}, template with <SPECIAL_10>")
    if signs.model_type == "nemotron_h" and "<|im_start|>" in signs.template:
        return Recognition("nemotron-3-nano", f"{kind}, ChatML template")
    if "<|start_header_id|>" in signs.template:
        return _llama(signs, kind)
    if "<｜Assistant｜>" in signs.template and signs.model_type in ("qwen2", "qwen3", "llama"):
        return Recognition("deepseek-r1-distill", f"{kind}, template with <｜Assistant｜>")
    if "<|im_start|>" in signs.template:
        return _chatml(signs, kind)
    return _by_name(signs, f"{kind}, a template like none of theirs")


def _llama(signs: _Signs, kind: str) -> Recognition:
    if "/no_think" in signs.template:
        return Recognition("llama-nemotron-v1.5", f"{kind}, Llama 3 headers, template with /no_think")
    if "detailed thinking" in signs.template or "nemotron" in signs.names:
        return Recognition("llama-nemotron-v1", f"{kind}, Llama 3 headers, detailed thinking or the name Nemotron")
    return Recognition(None, f"{kind}, a Llama 3 template without a thinking switch")


def _chatml(signs: _Signs, kind: str) -> Recognition:
    template = signs.template
    is_opened = _OPENED_THINKING.search(template) is not None
    if "SmolLM" in template or "miniature" in signs.names:
        return Recognition("miniature", f"{kind}, the template of SmolLM or the name miniature")
    if signs.model_type.startswith("qwen3"):
        if "enable_thinking" in template:
            return Recognition("qwen3", f"{kind}, template with enable_thinking")
        if is_opened:
            return Recognition("qwen3-thinking", f"{kind}, template that opens the thinking")
        return Recognition(None, f"{kind}, a template that never thinks")
    if is_opened and "acereason" not in signs.names and "<tool_call>" in template:
        return Recognition("qwq", f"{kind}, template with functions that opens the thinking")
    if is_opened:
        return Recognition("acereason", f"{kind}, template that opens the thinking")
    if "put your final answer within" in template:
        return Recognition("qwen2.5-math", f"{kind}, template that asks for a boxed answer")
    return _by_name(signs, f"{kind}, a ChatML template that several families share")


def _by_name(signs: _Signs, reason: str) -> Recognition:
    if "openmath-nemotron" in signs.merged:
        return Recognition("openmath-kaggle", f"{reason}; a merge of OpenMath-Nemotron models")
    for word, family in (("kaggle", "openmath-kaggle"), ("openmath", "openmath"), ("acereason", "acereason")):
        if word in signs.names:
            return Recognition(family, f"{reason}; the name says {word}")
    return Recognition(None, reason)


def _read_signs(folder: Path) -> _Signs:
    config = _read_json(folder / "config.json")
    recipe = folder / "mergekit_config.yml"
    merged = recipe.read_text("utf-8", "replace").lower() if recipe.is_file() else ""
    name = f"{folder.resolve().name} {config.get('_name_or_path', '')}".lower()
    return _Signs(str(config.get("model_type", "")), read_template(folder), name, merged)


def read_template(folder: Path) -> str:
    """The folder's own chat template; empty where it has none."""
    for file in ("chat_template.jinja", "chat_template.json"):
        if (path := folder / file).is_file():
            return path.read_text("utf-8") if path.suffix == ".jinja" else _default(_read_json(path))
    config = folder / "tokenizer_config.json"
    return _default(_read_json(config)) if config.is_file() else ""


def _default(config: dict[str, Any]) -> str:
    template = config.get("chat_template") or ""
    if isinstance(template, list):  # named ones
        template = next((it["template"] for it in template if it.get("name") == "default"), "")
    return str(template)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise ModelError(f"cannot read {path}: it is not JSON") from None
    return value if isinstance(value, dict) else {}
