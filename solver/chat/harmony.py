"""gpt-oss: the harmony format. Messages with a header of fields, content and an end; thinking and Python calls stand in
the channel `analysis`, the answer in `final`. Headers are read field by field: the recipient may stand before or after
the channel, and the model does both.

Rendering is written out here, and compared with openai/harmony's own library token for token in the tests. The library
does not read the model's output for us: it raises on headers that the model writes all the same.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from solver.chat.base import CodeCall, Tokenizer, Wording, read_prompt
from solver.chat.family import Family
from solver.chat.turns import FORCED_OPENING, TurnFormat
from solver.types import Effort, Mode

_NAME = re.compile(r"[\w.-]{1,60}")
_FINAL = "<|channel|>final<|message|>"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the model. `end` is the marker that ended it, None while it is open."""

    role: str
    channel: str
    recipient: str
    content_type: str
    text: str
    end: str | None
    has_content: bool
    """Its header is complete."""
    is_bare: bool
    """Its header says no more than the role."""


class HarmonyFormat(TurnFormat):
    def __init__(self, family: Family, tokenizer: Tokenizer, wording: Wording) -> None:
        super().__init__(family, tokenizer, wording)
        names = ("<|start|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>")
        self._names = {self._markup.encode(name)[0]: name for name in names}
        self._system_text, self._python = read_prompt("harmony-system"), read_prompt("harmony-python")

    def ask(self, text: str, mode: Mode = "cot", effort: Effort | None = None) -> list[int]:
        system = self._system_text.replace("{effort}", effort or self._wording.effort or self.family.effort or "medium")
        tools = f"{self._python}\n\n" if mode == "tir" else ""
        tokens = self._markup.encode(self._turns.system, system.replace("{tools}", tools))
        if (instructions := self._wording.systems.get(mode)) is not None:
            developer = "<|start|>developer<|message|># Instructions\n\n{text}<|end|>"
            tokens += self._markup.encode(developer, instructions)
        return [*tokens, *self._markup.encode(self._turns.user, text), *self._header]

    def follow_up(
        self, prompt: Sequence[int], tokens: Sequence[int], text: str, effort: Effort | None = None
    ) -> list[int]:
        said = self._markup.encode(f"{_FINAL}{{text}}<|end|>", self.final_text(tokens))
        return [*prompt, *said, *self._markup.encode(self._turns.user, text), *self._header]

    def code_calls(self, new_tokens: Sequence[int], effort: Effort | None = None) -> list[CodeCall]:
        messages = list(self.messages(new_tokens))
        if not messages or messages[-1].end != "<|call|>":
            return []
        return [_read_call(messages[-1])]

    def code_results(
        self, calls: Sequence[CodeCall], outputs: Sequence[str], calls_left: int, effort: Effort | None = None
    ) -> list[int]:
        tokens: list[int] = []
        for call, output in zip(calls, outputs, strict=True):
            header = f"<|start|>{call.recipient} to=assistant<|channel|>{call.channel}<|message|>"
            tokens += self._markup.encode(f"{header}{{text}}<|end|>", output)
        return [*tokens, *self._header]

    def force_answer(self, tokens: Sequence[int] = (), effort: Effort | None = None) -> list[int]:
        last = list(self.messages(tokens))[-1]
        opening = _FINAL + FORCED_OPENING.lstrip()
        if last.has_content and last.end is None and last.channel == "final":
            return self._markup.encode(FORCED_OPENING)
        if last.end is not None:
            return self._markup.encode(f"<|start|>assistant{opening}")
        if last.has_content:
            return self._markup.encode(f"<|end|><|start|>assistant{opening}")
        if not last.is_bare:
            return self._markup.encode(f"<|message|><|end|><|start|>assistant{opening}")
        role = "assistant" if tokens and self._names.get(tokens[-1]) == "<|start|>" else ""
        return self._markup.encode(role + opening)

    def final_text(self, tokens: Sequence[int], effort: Effort | None = None) -> str:
        return "\n".join(message.text for message in self.messages(tokens) if message.channel == "final")

    def messages(self, tokens: Sequence[int]) -> Iterator[Message]:
        """The messages in what follows a prompt, which ends inside the header of the first one."""
        header: list[int] = []
        content: list[int] | None = None
        is_between = False
        for token in tokens:
            name = self._names.get(token)
            if name == "<|start|>":
                if content is not None:
                    yield self._message(header, content, None)
                header, content, is_between = [], None, False
            elif name == "<|message|>" and content is None:
                content, is_between = [], False
            elif name in ("<|end|>", "<|return|>", "<|call|>"):
                yield self._message(header, content, name)
                header, content, is_between = [], None, True
            else:
                (header if content is None else content).append(token)
                is_between = False
        if not is_between:
            yield self._message(header, content, None)

    def _message(self, header: Sequence[int], content: Sequence[int] | None, end: str | None) -> Message:
        words = self._tokenizer.decode(header)
        role_part, _, channel_part = words.partition("<|channel|>")
        role_words = role_part.split()
        channel_words = channel_part.replace("<|constrain|>", " <|constrain|>").split()
        recipients = [word[3:] for word in (*role_words, *channel_words) if word.startswith("to=")]
        role = [word for word in role_words if not word.startswith("to=")]
        channel = [word for word in channel_words if not word.startswith("to=")]
        return Message(
            role=role[0] if role else "assistant",
            channel=channel[0] if channel else "",
            recipient=recipients[0] if recipients else "",
            content_type=channel[1].removeprefix("<|constrain|>") if len(channel) > 1 else "",
            text=self._tokenizer.decode(content or ()),
            end=end,
            has_content=content is not None,
            is_bare=words in ("", "assistant"),
        )


def _read_call(message: Message) -> CodeCall:
    """The built-in tool is `python`; the model also calls it by a function's name, with JSON, or by no name at all."""
    recipient = message.recipient or ("python" if message.content_type == "code" else "none")
    recipient = recipient if _NAME.fullmatch(recipient) else "none"  # it stands in the header of the answer
    channel = message.channel if _NAME.fullmatch(message.channel) else "analysis"
    if recipient.rpartition(".")[2] != "python" and not recipient.startswith("python"):
        return CodeCall("", read_prompt("harmony-no-such-tool").replace("{recipient}", recipient), recipient, channel)
    return CodeCall(_code(message.text), None, recipient, channel)


def _code(text: str) -> str:
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text
    return value["code"] if isinstance(value, dict) and isinstance(value.get("code"), str) else text
