"""Tokenizers: a model folder's `tokenizer.json`, and plain bytes for the scripted engine."""

import codecs
from collections.abc import Sequence
from pathlib import Path

from solver.errors import ModelError


class FolderTokenizer:
    """The fast tokenizer of a Hugging Face model folder, without transformers or torch."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer as FastTokenizer

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ModelError(f"no tokenizer.json in {folder}: the folder is not a complete model")
        try:
            self._tokenizer = FastTokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001  the Rust library raises bare Exception for every kind of bad file
            raise ModelError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
        # Special tokens that stand in a problem's or a program's text are text.
        self._tokenizer.encode_special_tokens = True
        self._tokens_with: dict[str, frozenset[int]] = {}

    def encode(self, text: str) -> list[int]:
        # A lone surrogate (JSON can carry one) has no UTF-8 form.
        text = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))

    def token_id(self, marker: str) -> int | None:
        return self._tokenizer.token_to_id(marker)

    def tokens_with(self, character: str) -> frozenset[int]:
        if character not in self._tokens_with:
            # Vocabularies write ASCII as itself; where they fall back to bytes, as <0x7D> too.
            byte = f"<0x{ord(character):02X}>"
            pieces = self._tokenizer.get_vocab(with_added_tokens=True).items()
            self._tokens_with[character] = frozenset(t for piece, t in pieces if character in piece or piece == byte)
        return self._tokens_with[character]

    def stream(self) -> "FolderTextStream":
        return FolderTextStream(self)


class FolderTextStream:
    def __init__(self, tokenizer: FolderTokenizer) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer._tokenizer
        self._stream = DecodeStream(skip_special_tokens=False)

    def feed(self, token_ids: Sequence[int]) -> str:
        return "".join(self._stream.step(self._tokenizer, token_id) or "" for token_id in token_ids)


class ByteTokenizer:
    """One token for each byte of UTF-8, then the markers: enough for texts that nobody sampled."""

    def __init__(self, markers: Sequence[str] = ("<|im_start|>", "<|im_end|>")) -> None:
        self.markers = tuple(markers)

    def encode(self, text: str) -> list[int]:
        return list(text.encode("utf-8", "replace"))

    def decode(self, token_ids: Sequence[int]) -> str:
        return self.stream().feed(token_ids)

    def token_id(self, marker: str) -> int | None:
        return 256 + self.markers.index(marker) if marker in self.markers else None

    def tokens_with(self, character: str) -> frozenset[int]:
        return frozenset({ord(character), *(256 + n for n, marker in enumerate(self.markers) if character in marker)})

    def stream(self) -> "ByteTextStream":
        return ByteTextStream(self.markers)


class ByteTextStream:
    def __init__(self, markers: Sequence[str]) -> None:
        self._markers = markers
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_ids: Sequence[int]) -> str:
        parts: list[str] = []
        for token_id in token_ids:
            if token_id < 256:
                parts.append(self._decoder.decode(bytes([token_id])))
            else:
                parts.append(self._markers[token_id - 256])
        return "".join(parts)
