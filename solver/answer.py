"""From a model's text to the integer it answers, or None. Pure, linear in the text, in any thread; never raises.

The answer is the last complete `\\boxed{...}` (or `\\fbox`) outside thinking, code and code output. There are no prose
triggers: "the final answer is 3 cases" has cost contestants points, and a wider parser cost more than it found.
"""

import re

from solver.competition import Competition
from solver.expression import evaluate

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"[{}]|\\[\\{}]")
_LANGUAGE = re.compile(r"[ ]*(?:python3?|py|output|system)\b")
_TOO_LONG = 1_000  # characters of a boxed text that can still be an answer
_MOST_BOXES = 50  # from the end, unclosed ones and those in code included

_WRAPPER = (
    r"\\(?:f?box(?:ed)?|text(?:bf|it|rm|sf|tt|normal)?|mathrm|mathbf|mathit|mathsf|mathtt|mathbb|operatorname|boldsymbol"
    r"|bm|mbox|hbox|underline|emph|ensuremath|displaystyle|(?:text)?color\s*\{\w*\})"
)
_WRAPPED = re.compile(_WRAPPER + r"\s*\{([^{}]*)\}")
_WORDS = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]*\}(?:\^\{?\d\}?)?")
_SCALE = re.compile(
    r"hundred|thousand|[mb]illion|dozen|percent|\bor\b|\band\b|\bto\b|approx|about|\bpi\b|\bmod\b", re.I
)
_DECORATION = re.compile(
    r"\\[,;:!> ]|\\\\$|\\q?quad(?![a-z])|\\(?:left|right|displaystyle|bf|it|rm|[lL]arge|huge|small)(?![a-zA-Z])"
    r"|\\\$|\$|\\\(|\\\)|\^\s*\{?\s*(?:\\circ|°)\s*\}?|°|\\degree(?![a-z])"
)
_UNIT = re.compile(r"(?<=\d) (?:square |cubic )?(?:units?|degrees?|dollars?|cents?|ways?|[ckm]?m|kg)(?:\^\{?[23]\}?)?$")
_GROUPED = re.compile(
    r"[+-]?(?:\d{1,3}(?P<mark>[,_'’`٬]|\s)\d{3}(?:(?P=mark)\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}|\d{1,3}(?:\.\d{3}){2,})"
)
_GROUP_MARK = re.compile(r"[^\d+-]")
_GROUP_INSIDE = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?")
_PLAIN = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "﹣": "-",
        "－": "-",
        "‐": "-",
        "‑": "-",
        "＋": "+",
        "，": ",",
        "＝": "=",
        "！": "!",
        "（": "(",
        "）": ")",
    }
    | {"\u200b": "", "\ufeff": "", "\u2060": ""}
    | {raised: f"^{{{digit}}}" for digit, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
)
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
    """The content of the last complete box outside code and code output.

    Read from the end, so that a long text costs little: of at most the last fifty boxes, each up to a length at which
    it could no longer be an answer. An overlong box counts as one that is not complete.
    """
    position = len(text)
    nearest = {name: text.rfind(name) for name in (r"\box", r"\fbox")}
    for _ in range(_MOST_BOXES):
        nearest = {name: at if at < position else text.rfind(name, 0, position) for name, at in nearest.items()}
        if (position := max(nearest.values())) < 0:
            break
        opening = _BOX.match(text, position)
        end = None if opening is None else _closing_brace(text, opening.end())
        if opening is None or end is None:
            continue
        if (code := _code_start(text, position)) is None:
            return text[opening.end() : end]
        position = code  # what stands between is in the same code
    return None


def parse_integer(boxed: str) -> int | None:
    """The integer that a boxed text states: decorated, named ("n = 17") and grouped ("1,234") forms included, and exact
    expressions (`solver.expression`)."""
    if len(boxed) > _TOO_LONG:
        return None
    text = _unwrapped(boxed.translate(_PLAIN).replace("{,}", ",").replace(r"\,", " ").replace("**", "^"))
    if _SCALE.search(" ".join(_WORDS.findall(text))):
        return None
    text = _SPACES.sub(" ", _DECORATION.sub(" ", _WORDS.sub(" ", text))).strip(" .;*^\"'`")
    text = _unnamed(text)
    text = re.sub(r"^([+-]) ", r"\1", _UNIT.sub("", text).strip(" ."))
    while text.startswith("{") and text.endswith("}") and "{" not in text[1:]:
        text = text[1:-1].strip()
    if _GROUPED.fullmatch(text) is not None:
        text = _GROUP_MARK.sub("", text)
    if (whole := _WHOLE.fullmatch(text)) is not None:
        return int(whole.group(1))
    return evaluate(_GROUP_INSIDE.sub(lambda number: number.group().replace(",", ""), text))


def _closing_brace(text: str, start: int) -> int | None:
    """Where the brace that was opened before `start` closes, within the length an answer can have."""
    depth = 1
    for brace in _BRACE.finditer(text, start, start + _TOO_LONG):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None


def _code_start(text: str, position: int) -> int | None:
    """Where the call, the code or the code output begins that `position` is in; None outside. A fence that names a
    language opens, a bare one closes."""
    call = text.rfind("<tool_call>", 0, position)
    if call >= 0 and call > text.rfind("</tool_call>", call, position):
        return call
    fence = text.rfind("```", 0, position)
    return fence if fence >= 0 and _LANGUAGE.match(text, fence + 3) else None


def _unwrapped(text: str) -> str:
    """`\\text{17}` as `17`; a wrapper around words (a unit) is left to be dropped as decoration."""
    for _ in range(4):
        inner = _WRAPPED.sub(_inside, text)
        if inner == text:
            break
        text = inner
    return text


def _inside(wrapped: re.Match[str]) -> str:
    inside = wrapped.group(1)
    if any(character.isdigit() for character in inside) or not inside.strip():
        return inside
    return f"\\text{{{inside}}}"


def _unnamed(text: str) -> str:
    """What stands after the name: `n = 17`, `x = 2k = 34`, `n \\equiv 17`; not `x = 3, y = 4`."""
    text = text.replace("\\equiv", "=")
    *names, value = text.split("=")
    if len(names) > 1 and any("," in name for name in names):
        return text
    return value.strip(" .") if value.count("{") == value.count("}") else text
