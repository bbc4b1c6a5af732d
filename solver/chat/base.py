"""The contracts of this folder, and which format and tokenizer a configuration means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

from solver.chat.families import find_family
from solver.chat.family import Family
from solver.config import ChatConfig
from solver.errors import UsageError, nearest
from solver.types import Effort, ExecutionResult, Mode, Problem


class TextStream(Protocol):
    """Text of a growing list of tokens, without cutting a character that several tokens make up."""

    def feed(self, token_ids: Sequence[int]) -> str: ...


class Tokenizer(Protocol):
    def encode(self, text: str) -> list[int]:
        """Tokens of plain text: a marker that stands in it is text, so a problem cannot forge a turn."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens, markers included."""

    def token_id(self, marker: str) -> int | None:
        """The one token that `marker` is, or None."""

    def tokens_with(self, character: str) -> frozenset[int]:
        """Every token whose text holds the ASCII character."""

    def stream(self) -> TextStream: ...


@dataclass(frozen=True, slots=True)
class CodeCall:
    """Python that the model wants run, or, with `error`, a call that cannot be run and what to tell the model."""

    code: str
    error: str | None = None
    recipient: str = "python"
    channel: str = "analysis"
    """Whom the call is addressed to and where, in families whose calls say so."""


class ChatFormat(Protocol):
    """One attempt's conversation as tokens. All methods are pure.

    `tokens` are everything after the prompt; `effort` is the attempt's, None for the family's default.
    """

    @property
    def family(self) -> Family: ...

    @property
    def modes(self) -> tuple[Mode, ...]:
        """cot alone, where the family was not trained to call code."""

    @property
    def max_code_calls(self) -> int: ...

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end the model's turn; the first is the one it is trained to end with."""

    def stop_strings(self, mode: Mode, calls_left: int) -> tuple[str, ...]:
        """Texts after which the model waits for an answer from us."""

    def prompt(self, problem: Problem, mode: Mode, effort: Effort | None = None) -> list[int]: ...

    def ask(self, text: str, mode: Mode = "cot", effort: Effort | None = None) -> list[int]:
        """The prompt of any other question, such as GenSelect's."""

    def follow_up(
        self, prompt: Sequence[int], tokens: Sequence[int], text: str, effort: Effort | None = None
    ) -> list[int]:
        """The prompt of a further question behind a finished turn, without the thinking of that turn."""

    def code_call(self, new_tokens: Sequence[int]) -> str | None:
        """The Python that the tokens of one turn end in, or None where they do not end in a call."""

    def code_calls(self, new_tokens: Sequence[int], effort: Effort | None = None) -> list[CodeCall]:
        """All calls that the tokens of one turn end in, in order; some families make several at once."""

    def code_result(self, result: ExecutionResult, calls_left: int) -> list[int]:
        """What is appended to the transcript after a call."""

    def code_results(
        self, calls: Sequence[CodeCall], outputs: Sequence[str], calls_left: int, effort: Effort | None = None
    ) -> list[int]:
        """What is appended after several calls, whose outputs are in the same order."""

    def end_thinking(self, tokens: Sequence[int], effort: Effort | None = None) -> list[int] | None:
        """What is appended when the tokens for thinking are used up; None where the model does not think now, or its
        family was not made to be stopped."""

    def force_answer(self, tokens: Sequence[int] = (), effort: Effort | None = None) -> list[int]:
        """What follows the tokens of an attempt that must answer now: the end of what is open, the start of a box."""

    def final_text(self, tokens: Sequence[int], effort: Effort | None = None) -> str:
        """The text in which the answer may stand: outside thinking, in the channel for it."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What a conversation says, once configuration and family are put together."""

    prompts: Mapping[Mode, str]
    systems: Mapping[Mode, str]
    max_code_calls: int
    tells_calls_left: bool
    effort: Effort | None


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder. Raises ModelError."""
    from solver.chat.tokenizer import FolderTokenizer

    return FolderTokenizer(folder)


def build_chat(config: ChatConfig, tokenizer: Tokenizer, folder: Path | None = None) -> ChatFormat:
    """The format that `chat.family` names; for `auto` the one recognised in the model's folder.

    Raises:
        ModelError: the folder's family is not known, or the tokenizer lacks the family's markers.
        UsageError: there is no such family or prompt, or it has no such effort.
    """
    from solver.chat.functions import SYNTAXES, FunctionFormat
    from solver.chat.harmony import HarmonyFormat
    from solver.chat.inline import InlineFormat
    from solver.chat.recognise import choose_family
    from solver.chat.turns import TurnFormat

    family = find_family(choose_family(config.family, folder).family or "")
    wording = _wording(config, family)
    if family.code is None:
        return TurnFormat(family, tokenizer, wording)
    if family.code == "inline":
        return InlineFormat(family, tokenizer, wording)
    if family.code == "harmony":
        return HarmonyFormat(family, tokenizer, wording)
    return FunctionFormat(family, tokenizer, wording, SYNTAXES[family.code])


def read_prompt(name: str) -> str:
    """The text of a file in `solver/prompts/`, or of the file at that path; its last newline does not count."""
    folder = resources.files("solver") / "prompts"
    shipped = folder / f"{name}.txt"
    if shipped.is_file():
        return shipped.read_text("utf-8").removesuffix("\n")
    try:
        return Path(name).read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        known = [path.name.removesuffix(".txt") for path in folder.iterdir()]
        raise UsageError(f"no prompt '{name}': {nearest(name, known)}") from None


def _wording(config: ChatConfig, family: Family) -> Wording:
    if config.effort is not None and config.effort not in family.efforts:
        raise UsageError(f"chat.effort: the family '{family.name}' {_efforts(family)}")
    chosen: Mapping[Mode, str | None] = {"cot": config.cot_prompt, "tir": config.tir_prompt}
    systems = dict(family.systems)
    if config.system_prompt is not None:
        systems = dict.fromkeys(family.modes, config.system_prompt)
    tells = config.remaining_calls_text
    return Wording(
        prompts={mode: read_prompt(chosen[mode] or family.prompts[mode]) for mode in family.modes},
        systems=systems,
        max_code_calls=config.max_code_calls if "max_code_calls" in config.model_fields_set else family.max_code_calls,
        tells_calls_left=family.inline.tells_calls_left if tells is None else tells,
        effort=config.effort,
    )


def _efforts(family: Family) -> str:
    return f"knows {', '.join(family.efforts)}" if family.efforts else "has one way to reason: leave it out"
