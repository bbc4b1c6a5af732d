"""How a model family writes prompts, calls Python and reads its output: tokens in, tokens out."""

from solver.chat.base import ChatFormat, Tokenizer, build_chat, load_tokenizer

__all__ = ["ChatFormat", "Tokenizer", "build_chat", "load_tokenizer"]
