"""How a model family writes prompts, calls Python and reads its output: tokens in, tokens out."""

from solver.chat.base import ChatFormat, CodeCall, Tokenizer, build_chat, load_tokenizer, read_prompt
from solver.chat.families import FAMILIES, find_family
from solver.chat.family import Family
from solver.chat.recognise import Recognition, choose_family, recognise

__all__ = [
    "FAMILIES",
    "ChatFormat",
    "CodeCall",
    "Family",
    "Recognition",
    "Tokenizer",
    "build_chat",
    "choose_family",
    "find_family",
    "load_tokenizer",
    "read_prompt",
    "recognise",
]
