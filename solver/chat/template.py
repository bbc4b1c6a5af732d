"""A model folder's own chat template: rendered as transformers renders it, and compared with what we write."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solver.chat.base import ChatFormat, build_chat, load_tokenizer
from solver.chat.functions import declaration
from solver.chat.recognise import choose_family, read_template
from solver.config import ChatConfig
from solver.errors import ModelError
from solver.types import Effort, Mode

_QUESTION = "What is 6*7?"
_DATE = "Current date: "


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same question, written by us and by the folder's template."""

    mode: Mode
    effort: Effort | None
    ours: str
    theirs: str

    @property
    def agrees(self) -> bool:
        return self.ours == self.theirs

    def difference(self) -> str:
        """Where the two part, in one line."""
        at = next((n for n, (a, b) in enumerate(zip(self.ours, self.theirs, strict=False)) if a != b), None)
        at = min(len(self.ours), len(self.theirs)) if at is None else at
        start = max(0, at - 20)
        return f"{self.mode}: ours {self.ours[start : at + 30]!r}, its own {self.theirs[start : at + 30]!r}"


def render(template: str, messages: Sequence[Mapping[str, Any]], **switches: Any) -> str:
    """The text of a conversation up to where the model goes on. Raises ModelError where the template fails."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda _: "today"
    try:
        return environment.from_string(template).render(messages=messages, add_generation_prompt=True, **switches)
    except (TemplateError, TypeError) as error:
        raise ModelError(f"the model's chat template fails: {error}") from None


def compare(folder: Path, chat: ChatFormat, wording: ChatConfig) -> list[Comparison]:
    """One comparison for each mode and effort; none where the folder has no template."""
    template = read_template(folder)
    if not template:
        return []
    tokenizer, family = load_tokenizer(folder), chat.family
    comparisons: list[Comparison] = []
    for mode in family.modes:
        for effort in family.efforts or (None,):
            ours = tokenizer.decode(chat.ask(_QUESTION, mode, effort))
            messages = [{"role": "user", "content": _QUESTION}]
            system = family.systems.get(mode) if wording.system_prompt is None else wording.system_prompt
            if effort == "low" and family.thinking.off_system is not None:
                system = family.thinking.off_system
            if effort == "low" and family.name in ("nemotron-nano-v2", "llama-nemotron-v1.5"):
                system = f"{system or ''}/no_think"  # their templates' switch
            if system is not None:
                messages.insert(0, {"role": "system", "content": system})
            theirs = render(template, messages, **_switches(folder, chat, mode, effort))
            comparisons.append(Comparison(mode, effort, ours, _without_date(theirs)))
    return comparisons


def template_notes(folder: Path, chat: ChatFormat, config: ChatConfig) -> list[str]:
    """For a run: where the folder's own template differs from what we write; nothing where it agrees, is missing or
    cannot be rendered on this machine."""
    try:
        differing = [it.difference() for it in compare(folder, chat, config) if not it.agrees]
    except ImportError:
        return []
    except ModelError as error:
        return [str(error)]
    return [f"the model's own chat template differs from family {chat.family.name}; {it}" for it in differing[:1]]


def describe_model(folder: Path, config: ChatConfig) -> list[str]:
    """For `solver doctor`: the folder's family and why, and whether its own template writes the same.

    Raises:
        ModelError, UsageError: the folder cannot be used; the message says why.
    """
    found = choose_family(config.family, folder)
    lines = [f"family {found.family}: {found.reason}"]
    chat = build_chat(config, load_tokenizer(folder), folder)
    try:
        comparisons = compare(folder, chat, config)
    except ImportError:
        return [*lines, "chat template: not compared, jinja2 is not installed (pip install 'olympiad-solver[report]')"]
    if not comparisons:
        return [*lines, "chat template: the folder has none"]
    differing = [it.difference() for it in comparisons if not it.agrees]
    if not differing:
        return [*lines, "chat template: it writes the same prompts as we do"]
    return [*lines, *(f"chat template: it differs from what we write; {difference}" for difference in differing)]


def _switches(folder: Path, chat: ChatFormat, mode: Mode, effort: Effort | None) -> dict[str, Any]:
    switches: dict[str, Any] = {"bos_token": _bos_token(folder)}
    if chat.family.code == "harmony":
        switches["reasoning_effort"] = effort
        if mode == "tir":
            switches["builtin_tools"] = ["python"]
        return switches
    if chat.family.can_stop_thinking:
        switches["enable_thinking"] = effort != "low"
    if mode == "tir" and chat.family.code != "inline":
        switches["tools"] = [json.loads(declaration(wrapped=True))]
    return switches


def _bos_token(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    token = json.loads(path.read_text("utf-8")).get("bos_token") if path.is_file() else None
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _without_date(text: str) -> str:
    """gpt-oss's template tells the day; we do not, so that a run can be repeated."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_DATE))


def _raise(message: str) -> None:
    raise ModelError(f"the model's chat template refuses: {message}")
