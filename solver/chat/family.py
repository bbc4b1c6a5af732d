"""What there is to say about a model family; `solver.chat.families` says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from solver.types import Effort, Mode

CodeStyle = Literal["inline", "hermes", "hermes-qwq", "toolcall", "toolcall-tool", "xml", "harmony"]
"""How Python is called. inline: raw code between two texts of the assistant's turn, the result in the same turn.
hermes, hermes-qwq: JSON in `<tool_call>`. toolcall: a JSON list in `<TOOLCALL>`, its results in a user turn;
toolcall-tool: in a turn of the role `tool`. xml: function and parameter tags in `<tool_call>`. harmony: a message to
the recipient `python`."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How turns are written. `{text}` is what a turn says; markers are single tokens, all else is plain text."""

    user: str
    assistant: str
    """Up to the place where the model goes on."""
    end: str
    """The marker that ends a turn of the model."""
    markers: tuple[str, ...]
    """A tokenizer that lacks one of these is not of the family."""
    after_end: str = "\n"
    """What stands between that marker and the next turn."""
    system: str = ""
    start: str = ""
    stops: tuple[str, ...] = ()
    """Other markers that end the model's turn; those the tokenizer lacks are left out."""


@dataclass(frozen=True, slots=True)
class Inline:
    """Python in the assistant's own turn."""

    begin: str = "<tool_call>"
    end: str = "</tool_call>"
    stop: str = "</tool_call>"
    """Where the model waits for the result."""
    result: str = "\n```output\n{output}```\n"
    tells_calls_left: bool = False


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a family thinks before it answers."""

    opening: str = ""
    """Put behind the assistant's header; empty where the model opens its thinking itself, or has none."""
    off_opening: str | None = None
    """The same for effort `low`, which turns thinking off; None: no such switch."""
    off_system: str | None = None
    """The system turn that turns thinking off; None: no such switch."""
    history: str = ""
    """Put before what an earlier, finished turn said; its thinking is left out."""
    budget_end: str | None = None
    """What is appended when the tokens for thinking are used up; None: the family was not made for it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    models: str
    turns: Turns
    prompts: Mapping[Mode, str]
    """Files in `solver/prompts/`. Without `tir` the family was not trained to call code: chain of thought only."""
    source: str
    """Where format and numbers were read."""
    context: int
    """Tokens, without rope scaling."""
    max_tokens: int
    """Of one attempt in its authors' evaluation."""
    licence: str
    systems: Mapping[Mode, str] = field(default_factory=dict)
    """The system turn; a mode without one has none, an empty text is an empty turn."""
    code: CodeStyle | None = None
    code_trained: bool = True
    """Trained to call Python in this form; False: trained to call functions, and Python is offered as one."""
    inline: Inline = Inline()
    effort: Effort | None = None
    """What is used where nothing names one, in families that must be told."""
    max_code_calls: int = 8
    thinking: Thinking = Thinking()
    sampling: Sampling = Sampling()
    genselect_prompt: str | None = None
    """The prompt of a family that was trained to choose among solutions."""
    notes: str = ""

    @property
    def modes(self) -> tuple[Mode, ...]:
        return ("cot", "tir") if "tir" in self.prompts else ("cot",)

    @property
    def can_stop_thinking(self) -> bool:
        return self.thinking.off_opening is not None or self.thinking.off_system is not None

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """What `chat.effort` may be."""
        if self.code == "harmony":
            return ("low", "medium", "high")
        return ("low", "high") if self.can_stop_thinking else ()
