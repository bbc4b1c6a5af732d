"""What is watched while an attempt writes: loops, and whether it is another attempt's copy. Pure; cheap for each token.

loop         the tokens are cut into blocks of 30; one that comes 20 times, at whatever places, ends the attempt. About
             2 % of attempts with an n-gram of 30 that comes 20 times are right.
fingerprint  a hash of the first tokens. Under different seeds two attempts do not begin with the same 256 tokens; where
             they do, the engine ignored its seeds, and the votes are one (fieldsmodelorg/AIMO-Proof-Pilot found up to
             16 of 32 equal).
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence

_WIDTH = array("q").itemsize


class LoopDetector:
    """Looks once for every `block` tokens, and at all their n-grams at once: a set operation for each block, and a
    thirtieth of the memory that all n-grams would take. An attempt that repeats itself at any period soon repeats a
    block; a single n-gram between other text is found once a block has been cut where it stands."""

    def __init__(self, block: int = 30, repeats: int = 20) -> None:
        self._block, self._repeats = block, repeats
        self._new: list[int] = []
        self._last = b""
        self._length = 0
        self._seen: dict[bytes, tuple[int, int]] = {}
        """For each block: how often it came without overlap, and where the last of them began."""

    def is_looping(self, token_ids: Iterable[int]) -> bool:
        """Take the next tokens; True once a block has come often enough."""
        if not self._repeats:
            return False
        self._new += token_ids
        return len(self._new) >= self._block and self._look()

    def _look(self) -> bool:
        while len(self._new) >= self._block:
            block = array("q", self._new[: self._block]).tobytes()
            del self._new[: self._block]
            text, size = self._last + block, len(block)
            ngrams = [text[start : start + size] for start in range(_WIDTH, len(text) - size + 1, _WIDTH)]
            if not self._seen.keys().isdisjoint(ngrams) and self._count(ngrams):
                return True
            self._seen.setdefault(block, (1, self._length))
            self._last = block
            self._length += self._block
        return False

    def _count(self, ngrams: Sequence[bytes]) -> bool:
        for begin, ngram in enumerate(ngrams, start=self._length - self._block + 1):
            count, last = self._seen.get(ngram, (0, begin))
            if begin - last >= self._block:
                self._seen[ngram] = count + 1, begin
                if count + 1 >= self._repeats:
                    return True
        return False


def fingerprint(token_ids: Sequence[int], prefix: int) -> str | None:
    """A hash of the first `prefix` tokens; None where there are fewer, or for a prefix of 0."""
    if not prefix or len(token_ids) < prefix:
        return None
    return hashlib.blake2b(array("q", token_ids[:prefix]).tobytes(), digest_size=8).hexdigest()
