"""OpenMath-Nemotron: Qwen2.5 ChatML; Python between `<tool_call>` and `</tool_call>`, its output in an `output` fence
of the same assistant turn, then (optionally) how many calls are left in a `system` fence.

Source: NVIDIA/NeMo-Skills, `code_tags/openmath.yaml` and `code_execution.py`; arXiv 2504.16891, appendix.
"""

from collections.abc import Mapping, Sequence

from solver.answer import final_part
from solver.chat.base import Tokenizer, marker_id, read_prompt
from solver.types import ExecutionResult, Mode, Problem

_BEGIN, _END = "<tool_call>", "</tool_call>"


class OpenMathFormat:
    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        system_prompt: str | None,
        prompts: Mapping[Mode, str],
        max_code_calls: int,
        remaining_calls_text: bool,
    ) -> None:
        self._tokenizer = tokenizer
        self._system_prompt = system_prompt
        self._prompts = prompts
        self._max_code_calls = max_code_calls
        self._remaining_calls_text = remaining_calls_text
        self._start = marker_id(tokenizer, "<|im_start|>")
        self._end = marker_id(tokenizer, "<|im_end|>")
        self._calls_left, self._no_calls_left = (
            read_prompt("openmath-calls-left"),
            read_prompt("openmath-no-calls-left"),
        )

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        return (self._end,)

    def stop_strings(self, mode: Mode, calls_left: int) -> tuple[str, ...]:
        return (_END,) if mode == "tir" and calls_left > 0 else ()

    def prompt(self, problem: Problem, mode: Mode) -> list[int]:
        template = self._prompts[mode].replace("{total_code_executions}", str(self._max_code_calls))
        tokens = self._turn("system", self._system_prompt) if self._system_prompt else []
        tokens += self._turn("user", template.replace("{problem}", problem.text))
        return [*tokens, self._start, *self._tokenizer.encode("assistant\n")]

    def code_call(self, new_tokens: Sequence[int]) -> str | None:
        text = self._tokenizer.decode(new_tokens)
        _, begin, call = text.rpartition(_BEGIN)
        # The token that completed the end marker may carry characters that follow it.
        code, end, rest = call.partition(_END)
        return code.strip("\n") if begin and end and not rest.strip() else None

    def code_result(self, result: ExecutionResult, calls_left: int) -> list[int]:
        output = result.output.rstrip("\n")
        text = f"\n```output\n{output}\n```\n" if output else "\n```output\n```\n"
        if self._remaining_calls_text:
            note = self._calls_left.replace("{calls_left}", str(calls_left)) if calls_left else self._no_calls_left
            text += f"```system\n{note}```\n"
        return self._tokenizer.encode(text)

    def force_answer(self, tokens: Sequence[int] = ()) -> list[int]:
        text = self._tokenizer.decode(tokens)
        in_call = text.count(_BEGIN) > text.count(_END)
        in_thought = text.count("<think>") > text.count("</think>")
        ends = (f"\n{_END}" if in_call else "") + ("\n</think>" if in_thought else "")
        return self._tokenizer.encode(f"{ends}\n\nThe answer is \\boxed{{")

    def final_text(self, tokens: Sequence[int]) -> str:
        return final_part(self._tokenizer.decode(tokens))

    def _turn(self, role: str, text: str) -> list[int]:
        encode = self._tokenizer.encode
        return [self._start, *encode(f"{role}\n{text}"), self._end, *encode("\n")]
