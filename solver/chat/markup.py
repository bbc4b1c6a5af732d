"""Texts with markers to tokens. A marker of the template is one token; one that stands in what is put into the
template (a problem, a program's output) is plain text and cannot forge a turn."""

import re
from collections.abc import Iterable

from solver.chat.base import Tokenizer
from solver.errors import ModelError

_OPTIONAL = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<TOOLCALL>", "</TOOLCALL>")
_PLACE = "{text}"


class Markup:
    def __init__(self, tokenizer: Tokenizer, markers: Iterable[str], family: str) -> None:
        """Raises ModelError where the tokenizer lacks one of the markers."""
        self._tokenizer = tokenizer
        self._ids: dict[str, int] = {}
        for marker in markers:
            token_id = tokenizer.token_id(marker)
            if token_id is None:
                raise ModelError(
                    f"the model's tokenizer has no token {marker}: it is not of the family '{family}' "
                    "(chat.family names another, `solver doctor --model DIR` tells what the folder looks like)"
                )
            self._ids[marker] = token_id
        for marker in _OPTIONAL:
            if (token_id := tokenizer.token_id(marker)) is not None:
                self._ids[marker] = token_id
        self._split = re.compile("(" + "|".join(map(re.escape, self._ids)) + ")")

    def id(self, marker: str) -> int | None:
        return self._ids.get(marker, self._tokenizer.token_id(marker))

    def encode(self, template: str, text: str = "") -> list[int]:
        """The tokens of `template`, with `text` at its `{text}`."""
        tokens: list[int] = []
        for piece in self._split.split(template):
            if (token_id := self._ids.get(piece)) is not None:
                tokens.append(token_id)
            elif piece:
                tokens += self._tokenizer.encode(piece.replace(_PLACE, text, 1))
        return tokens
