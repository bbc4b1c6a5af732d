"""Makes the invisible in hostile text visible, for terminals and pages alike. Pure, linear in the text.

Escape sequences move a terminal's cursor and rename its window; bidirectional marks make a line read otherwise than it
is stored; lone surrogates cannot be written as UTF-8. Each becomes its code point in brackets.
"""

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # bidirectional, zero-width and invisible marks
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"  # annotations, lone surrogates, tags
)


def visible(text: str) -> str:
    """`text` with control, bidirectional, zero-width and surrogate characters written as ⟦U+202E⟧."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return _HIDDEN.sub(lambda match: f"⟦U+{ord(match.group()):04X}⟧", text)


def one_line(text: str, limit: int = 200) -> str:
    """The start of `text` as one visible line."""
    line = " ".join(visible(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
