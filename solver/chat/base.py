"""The contracts of this folder, and which format and tokenizer a configuration means.

A format is chosen by model family, never by marker: the same `<tool_call>` wraps Python for OpenMath, JSON for Qwen3
and XML for Nemotron 3.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Protocol

from solver.config import ChatConfig
from solver.errors import ModelError, UsageError, nearest
from solver.types import ExecutionResult, Mode, Problem


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

    def stream(self) -> TextStream: ...


class ChatFormat(Protocol):
    """One attempt's conversation as tokens. All methods are pure."""

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end the model's turn."""

    def stop_strings(self, mode: Mode, calls_left: int) -> tuple[str, ...]:
        """Texts after which the model waits for an answer from us."""

    def prompt(self, problem: Problem, mode: Mode) -> list[int]: ...

    def code_call(self, new_tokens: Sequence[int]) -> str | None:
        """The Python that the tokens of one turn end in, or None where they do not end in a call."""

    def code_result(self, result: ExecutionResult, calls_left: int) -> list[int]:
        """What is appended to the transcript after a call."""

    def force_answer(self, tokens: Sequence[int] = ()) -> list[int]:
        """What follows the tokens of an attempt that must answer now: the end of what is open, the start of a box."""

    def final_text(self, tokens: Sequence[int]) -> str:
        """The text in which the answer may stand, of everything after the prompt."""


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder. Raises ModelError."""
    from solver.chat.tokenizer import FolderTokenizer

    return FolderTokenizer(folder)


def build_chat(config: ChatConfig, tokenizer: Tokenizer) -> ChatFormat:
    """Raises ModelError where the tokenizer lacks the family's markers, UsageError where a prompt is missing."""
    from solver.chat.openmath import OpenMathFormat

    tells_calls = config.family == "openmath"  # the miniature is trained without
    return OpenMathFormat(
        tokenizer,
        system_prompt=config.system_prompt,
        prompts={
            "cot": read_prompt(config.cot_prompt or f"{config.family}-cot"),
            "tir": read_prompt(config.tir_prompt or f"{config.family}-tir"),
        },
        max_code_calls=config.max_code_calls,
        remaining_calls_text=tells_calls if config.remaining_calls_text is None else config.remaining_calls_text,
    )


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


def marker_id(tokenizer: Tokenizer, marker: str) -> int:
    token_id = tokenizer.token_id(marker)
    if token_id is None:
        raise ModelError(f"the model's tokenizer has no token {marker}: it is not of the family that chat.family names")
    return token_id
