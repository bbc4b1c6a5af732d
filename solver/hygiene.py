"""What is watched while an attempt writes: loops, and whether it is another attempt's copy. Pure; cheap for each token.

loop         an n-gram of 30 tokens seen 20 times (without overlap) ends the attempt: about 2 % of such are right.
fingerprint  a hash of the first tokens. Under different seeds two attempts do not begin with the same 256 tokens; where
             they do, the engine ignored its seeds, and the votes are one (fieldsmodelorg/AIMO-Proof-Pilot found up to
             16 of 32 equal).
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence

_BASE, _MODULUS = 1_000_003, (1 << 61) - 1


class LoopDetector:
    """Counts n-grams by a rolling hash: one multiplication and one look-up a token, whatever `ngram` is."""

    def __init__(self, ngram: int = 30, repeats: int = 20) -> None:
        self._ngram, self._repeats = ngram, repeats
        self._oldest_weight = pow(_BASE, ngram, _MODULUS)
        self._window: list[int] = [0] * ngram
        self._length = self._hash = 0
        self._seen: dict[int, list[int]] = {}
        """For each n-gram's hash: how often it was counted, and where it last was."""

    def is_looping(self, token_ids: Iterable[int]) -> bool:
        """Take the next tokens; True once an n-gram has been repeated often enough."""
        if not self._repeats:
            return False
        ngram, seen, window = self._ngram, self._seen, self._window
        for token in token_ids:
            place = self._length % ngram
            self._hash = (self._hash * _BASE + token + 1 - window[place] * self._oldest_weight) % _MODULUS
            window[place] = token + 1
            self._length += 1
            if self._length < ngram:
                continue
            if (entry := seen.get(self._hash)) is None:
                seen[self._hash] = [1, self._length]
            elif self._length - entry[1] >= ngram:
                entry[0] += 1
                entry[1] = self._length
                if entry[0] >= self._repeats:
                    return True
        return False


def fingerprint(token_ids: Sequence[int], prefix: int) -> str | None:
    """A hash of the first `prefix` tokens; None where there are fewer, or for a prefix of 0."""
    if not prefix or len(token_ids) < prefix:
        return None
    return hashlib.blake2b(array("q", token_ids[:prefix]).tobytes(), digest_size=8).hexdigest()
