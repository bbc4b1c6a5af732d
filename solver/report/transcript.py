"""What an attempt wrote, cut into prose, thinking, code, output and markers, for whatever family wrote it. Pure.

Only for reading: which code ran is the business of `solver.chat`. A text whose parts are not recognised is all prose.
"""

import json
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["prose", "thinking", "code", "output", "note", "marker"]


class Segment(NamedTuple):
    kind: Kind
    text: str


# Both branches begin with a literal, which lets the search skip from one < or ` to the next: 8 times as fast.
_MARK = re.compile(
    r"<(?:(?P<think>/?think>)"
    r"|(?P<call>tool_call>)"
    r"|(?P<response>tool_response>)"
    r"|(?P<harmony>\|start\|>[^<\n]{0,80}(?:<\|channel\|>[^<\n]{0,80})?(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>)"
    r"|(?P<channel>\|channel\|>[^<\n]{0,80}(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>)"
    r"|(?P<role>\|im_start\|>[a-z]{1,12}\n?)"
    r"|(?P<token>\|[a-z_]{1,24}\|>))"
    r"|```(?P<fence>[ ]?(?P<language>python3?|py|tool_code|output|tool_output|system)[ \t]*\n)"
)
_CLOSE = {"call": "</tool_call>", "response": "</tool_response>", "fence": "```"}
_FENCE_KIND: dict[str, Kind] = {"output": "output", "tool_output": "output", "system": "note"}
_HARMONY_END = re.compile(r"<\|(?:end|call|return)\|>")
_PARAMETER = re.compile(r"<parameter=\w+>\n?(.*?)\n?</parameter>", re.DOTALL)


def segments(text: str) -> list[Segment]:
    """The parts of everything after the prompt, in order; together they hold the whole text but for the markers around
    code and output, which the kind stands for."""
    return [segment for segment in _cut(text) if segment.text.strip()]


def _cut(text: str) -> Iterator[Segment]:
    # Where the prompt opened the thinking, the text starts inside it.
    opened, closed = text.find("<think>"), text.find("</think>")
    is_thinking = closed >= 0 and not 0 <= opened < closed
    place = 0
    while (mark := _MARK.search(text, place)) is not None:
        prose: Kind = "thinking" if is_thinking else "prose"
        yield Segment(prose, text[place : mark.start()])
        place = mark.end()
        name = mark.lastgroup if mark.lastgroup != "language" else "fence"
        if name == "think":
            is_thinking = mark.group() == "<think>"
        elif name in ("call", "response", "fence"):
            kind = _kind(name, mark["language"])
            place, body = _until(text, place, _CLOSE[name])
            yield Segment(kind, _code(body) if kind == "code" else body.strip("\n"))
        elif name in ("harmony", "channel"):
            end = _HARMONY_END.search(text, place)
            stop = end.start() if end else len(text)
            yield Segment("marker", mark.group())
            yield Segment(_harmony_kind(mark.group()), text[place:stop])
            place = end.end() if end else stop
        else:
            yield Segment("marker", mark.group().strip())
    yield Segment("thinking" if is_thinking else "prose", text[place:])


def _kind(name: str, language: str | None) -> Kind:
    if name == "response":
        return "output"
    return "code" if name == "call" else _FENCE_KIND.get(language or "", "code")


def _until(text: str, start: int, close: str) -> tuple[int, str]:
    end = text.find(close, start)
    return (len(text), text[start:]) if end < 0 else (end + len(close), text[start:end])


def _code(body: str) -> str:
    """The Python of a call that may be wrapped in JSON (Qwen3) or XML (Nemotron 3)."""
    body = body.strip("\n")
    if body.startswith("{"):
        try:
            arguments = json.loads(body)["arguments"]
            return str(arguments["code"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return body
    found = _PARAMETER.search(body) if body.startswith("<function=") else None
    return found[1] if found else body


def _harmony_kind(header: str) -> Kind:
    if header.startswith(("<|start|>python", "<|start|>functions.", "<|start|>tool")):
        return "output"
    if "to=" in header or "code<|message|>" in header:
        return "code"
    return "thinking" if "analysis" in header else "prose"
