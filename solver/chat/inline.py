"""Python in the assistant's own turn: OpenMath-Nemotron's `<tool_call>` ... `</tool_call>`, Qwen2.5-Math's fence. The
output follows in an `output` fence of the same turn, then (OpenMath) how many calls are left in a `system` fence.

Source: NVIDIA/NeMo-Skills, `code_tags/*.yaml` and `code_execution/utils.py`; arXiv 2504.16891, appendix.
"""

from collections.abc import Sequence

from solver.chat.base import CodeCall, Tokenizer, Wording, read_prompt
from solver.chat.family import Family
from solver.chat.turns import TurnFormat, quoted
from solver.types import Effort, Mode

_MARKS = ("```", "<think>", "</think>", "<tool_call>", "</tool_call>")


class InlineFormat(TurnFormat):
    def __init__(self, family: Family, tokenizer: Tokenizer, wording: Wording) -> None:
        super().__init__(family, tokenizer, wording)
        self._inline = family.inline
        self._calls_left = read_prompt("openmath-calls-left")
        self._no_calls_left = read_prompt("openmath-no-calls-left")

    def stop_strings(self, mode: Mode, calls_left: int) -> tuple[str, ...]:
        return (self._inline.stop,) if mode == "tir" and calls_left > 0 else ()

    def code_calls(self, new_tokens: Sequence[int], effort: Effort | None = None) -> list[CodeCall]:
        begin, end, stop = self._inline.begin, self._inline.end, self._inline.stop
        # The token that completed the stop may carry characters that follow it.
        block, found, rest = self._tokenizer.decode(new_tokens).rpartition(stop)
        if not found or rest.strip():
            return []
        if stop != end:
            if not block.rstrip().endswith(end):
                return []
            block = block.rstrip().removesuffix(end)
        _, begun, code = block.rpartition(begin)
        return [CodeCall(code.strip("\n"))] if begun and end not in code else []

    def code_results(
        self, calls: Sequence[CodeCall], outputs: Sequence[str], calls_left: int, effort: Effort | None = None
    ) -> list[int]:
        output = "\n".join(outputs).rstrip("\n")
        output = quoted(output, *_MARKS) + "\n" if output else ""
        text = self._inline.result.replace("{output}", output)
        if self._wording.tells_calls_left:
            note = self._calls_left.replace("{calls_left}", str(calls_left)) if calls_left else self._no_calls_left
            text += f"```system\n{note}\n```\n"
        return self._tokenizer.encode(text)

    def force_answer(self, tokens: Sequence[int] = (), effort: Effort | None = None) -> list[int]:
        begin, end = self._inline.begin, self._inline.end
        _, begun, code = self._tokenizer.decode(tokens).rpartition(begin)
        close = f"\n{end}" if begun and end not in code else ""
        return [*self._markup.encode(close), *super().force_answer(tokens, effort)]
