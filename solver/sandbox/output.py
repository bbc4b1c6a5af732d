"""What a block wrote, of which only the head and the tail are kept, with the exact count of what stood between."""

import codecs
import re

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|\x1b")
# carriage returns stay: progress bars use them
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class OutputCapture:
    """Takes bytes without end in bounded memory. Two thirds of `max_chars` are the head's, the rest the tail's."""

    def __init__(self, max_chars: int) -> None:
        self._head_chars = max_chars * 2 // 3
        self._tail_chars = max_chars - self._head_chars
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._head = self._tail = ""
        self.num_chars = 0

    def feed(self, data: bytes) -> None:
        self._add(self._decode(data))

    def finish(self, *notes: str) -> str:
        """The text, with `notes` (an error, what became of the session) each on a line after it."""
        self._add(self._decode(b"", final=True))
        for note in notes:
            if note := note.strip("\n"):
                last = (self._tail or self._head)[-1:]
                self._add(f"\n{note}" if last not in ("", "\n") else note)
        left_out = self.num_chars - len(self._head) - len(self._tail[-self._tail_chars :])
        if left_out <= 0:
            return _clean(self._head + self._tail).strip("\n")
        head, tail = _clean(self._head), _clean(self._tail[-self._tail_chars :])
        return f"{head}\n[... {left_out:,} characters left out ...]\n{tail}".rstrip("\n")

    def _add(self, text: str) -> None:
        self.num_chars += len(text)
        if (room := self._head_chars - len(self._head)) > 0:
            self._head += text[:room]
            text = text[room:]
        if text:
            self._tail += text[-self._tail_chars :]
            if len(self._tail) > 4 * self._tail_chars:
                self._tail = self._tail[-self._tail_chars :]


def _clean(text: str) -> str:
    """Without terminal colours; control characters written out, and what UTF-8 has no bytes for."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", _ANSI.sub("", text))
