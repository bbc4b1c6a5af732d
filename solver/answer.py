"""From a model's text to the integer it answers, or None. Pure, linear in the text, in any thread; never raises.

The answer is the last complete `\\boxed{...}` outside thinking, code and code output. There are no prose triggers: "the
final answer is 3 cases" has cost contestants points, and a wider parser has cost them more than it found.

What is not covered: expressions that would have to be evaluated (`2^{10}`), units other than in `\\text{...}`.
"""

import re

from solver.competition import Competition

_MARK = re.compile(
    r"(?P<escaped>\\[\\{}])"
    r"|(?P<box>\\f?box(?:ed)?\s*\{)"
    r"|(?P<open>\{)"
    r"|(?P<close>\})"
    r"|(?P<fence>```[ ]*(?:python3?|py|output|system)\b)"
    r"|(?P<fence_end>```)"
    r"|(?P<tool></?tool_call>)"
)
_TOO_LONG = 2_000  # characters of a boxed text that can still be an answer
_WRAPPED = re.compile(r"\\(?:f?box(?:ed)?|text|textbf|mathrm|mathbf|mathit|displaystyle)\s*\{([^{}]*)\}")
_DECORATION = re.compile(
    r"\\[,;:!> ]|\\q?quad(?![a-z])|\\(?:left|right|displaystyle)(?![a-z])|\\text\s*\{[^{}]*\}|\$|\\\(|\\\)"
)
_NAMED = re.compile(r"^[^=]{1,40}=(?=[^=]+$)")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:([,_'’]|\s)\d{3})(?:\1\d{3})*")
_WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?")
_DASHES = str.maketrans({"−": "-", "–": "-", "﹣": "-", "-": "-", "＋": "+", "，": ","})
_SPACES = re.compile(r"[\s~]+")


def extract_answer(text: str, competition: Competition) -> int | None:
    """The answer that `text` ends with, as `competition` allows it; None where there is none."""
    boxed = last_boxed(final_part(text))
    value = None if boxed is None else parse_integer(boxed)
    return None if value is None else competition.admits(value)


def final_part(text: str) -> str:
    """What follows the thinking; empty while the thinking is not closed."""
    _, closed, after = text.rpartition("</think>")
    if closed:
        return after
    return text.partition("<think>")[0]


def last_boxed(text: str) -> str | None:
    """The content of the last complete box outside code and code output, in one pass over the braces."""
    last: tuple[int, int] | None = None
    boxes: list[int | None] = []  # for each open brace where a box's content starts, None for any other brace
    fenced = in_call = False
    for mark in _MARK.finditer(text):
        kind = mark.lastgroup
        if kind == "tool":
            in_call = mark.group() == "<tool_call>"
        elif kind in ("fence", "fence_end"):
            fenced = kind == "fence" and not fenced
        elif fenced or in_call:
            continue
        elif kind == "box":
            boxes.append(mark.end())
        elif kind == "open":
            boxes.append(None)
        elif kind == "close" and boxes and (start := boxes.pop()) is not None:
            last = (start, mark.start())
    return None if last is None else text[last[0] : last[1]]


def parse_integer(boxed: str) -> int | None:
    """The integer that a boxed text states: decorated, named ("n = 17") and grouped ("1,234") forms included."""
    if len(boxed) > _TOO_LONG:
        return None
    text = boxed.translate(_DASHES).replace("{,}", ",")
    text = _unwrapped(text)
    text = _SPACES.sub(" ", _DECORATION.sub(" ", text)).strip().strip(".").strip()
    text = _NAMED.sub("", text).strip().strip("{}").strip()
    text = re.sub(r"^([+-]) ", r"\1", text)
    if (grouped := _GROUPED.fullmatch(text)) is not None:
        text = text.replace(grouped.group(1), "")
    whole = _WHOLE.fullmatch(text)
    if whole is None or len(whole.group(1)) > 1_000:
        return None
    return int(whole.group(1))


def _unwrapped(text: str) -> str:
    """`\\text{17}` as `17`; a wrapper around words (a unit) is left to be dropped as decoration."""
    for _ in range(4):
        inner = _WRAPPED.sub(lambda m: m.group(1) if re.search(r"\d", m.group(1)) else f"\\text{{{m.group(1)}}}", text)
        if inner == text:
            break
        text = inner
    return text
