"""What the formats share: turns written by a family's template, thinking, forced answers. Alone, it is the format of
families that were not trained to call code."""

from collections.abc import Sequence

from solver.answer import final_part
from solver.chat.base import CodeCall, Tokenizer, Wording
from solver.chat.family import Family
from solver.chat.markup import Markup
from solver.types import Effort, ExecutionResult, Mode, Problem

FORCED_OPENING = "\n\nThe answer is \\boxed{"


class TurnFormat:
    def __init__(self, family: Family, tokenizer: Tokenizer, wording: Wording) -> None:
        self.family = family
        self._tokenizer, self._wording, self._turns = tokenizer, wording, family.turns
        self._markup = Markup(tokenizer, family.turns.markers, family.name)
        end = self._markup.encode(family.turns.end)[0]
        others = (tokenizer.token_id(marker) for marker in family.turns.stops)
        self._stops = (end, *(token for token in others if token is not None and token != end))
        self._header = self._markup.encode(family.turns.assistant)

    @property
    def modes(self) -> tuple[Mode, ...]:
        return self.family.modes

    @property
    def max_code_calls(self) -> int:
        return self._wording.max_code_calls

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        return self._stops

    def stop_strings(self, mode: Mode, calls_left: int) -> tuple[str, ...]:
        return ()

    def prompt(self, problem: Problem, mode: Mode, effort: Effort | None = None) -> list[int]:
        template = self._wording.prompts[mode].replace("{total_code_executions}", str(self._wording.max_code_calls))
        return self.ask(template.replace("{problem}", problem.text), mode, effort)

    def ask(self, text: str, mode: Mode = "cot", effort: Effort | None = None) -> list[int]:
        system = self._system(mode, effort)
        tokens = self._markup.encode(self._turns.start)
        if system is not None:
            tokens += self._markup.encode(self._turns.system, system)
        return [*tokens, *self._markup.encode(self._turns.user, text), *self._assistant(effort)]

    def follow_up(
        self, prompt: Sequence[int], tokens: Sequence[int], text: str, effort: Effort | None = None
    ) -> list[int]:
        opening = len(self._markup.encode(self._opening(effort)))
        said = self.final_text([token for token in tokens if token not in self._stops], effort).strip()
        closing = f"{self.family.thinking.history}{{text}}{self._turns.end}{self._turns.after_end}"
        history = [*prompt[: len(prompt) - opening], *self._markup.encode(closing, said)]
        return [*history, *self._markup.encode(self._turns.user, text), *self._assistant(effort)]

    def code_call(self, new_tokens: Sequence[int]) -> str | None:
        calls = self.code_calls(new_tokens)
        return calls[-1].code if calls and calls[-1].error is None else None

    def code_calls(self, new_tokens: Sequence[int], effort: Effort | None = None) -> list[CodeCall]:
        return []

    def code_result(self, result: ExecutionResult, calls_left: int) -> list[int]:
        return self.code_results([CodeCall("")], [result.output], calls_left)

    def code_results(
        self, calls: Sequence[CodeCall], outputs: Sequence[str], calls_left: int, effort: Effort | None = None
    ) -> list[int]:
        raise NotImplementedError(f"the family '{self.family.name}' calls no code")

    def end_thinking(self, tokens: Sequence[int], effort: Effort | None = None) -> list[int] | None:
        end = self.family.thinking.budget_end
        return self._markup.encode(end) if end is not None and self._in_thinking(tokens, effort) else None

    def force_answer(self, tokens: Sequence[int] = (), effort: Effort | None = None) -> list[int]:
        end = "\n</think>" if self._in_thinking(tokens, effort) else ""
        return self._markup.encode(end + FORCED_OPENING)

    def final_text(self, tokens: Sequence[int], effort: Effort | None = None) -> str:
        return final_part(self._opened(tokens, effort))

    def _system(self, mode: Mode, effort: Effort | None) -> str | None:
        off = self.family.thinking.off_system
        return off if off is not None and not self._thinks(effort) else self._wording.systems.get(mode)

    def _thinks(self, effort: Effort | None) -> bool:
        return (effort or self._wording.effort) != "low" or not self.family.can_stop_thinking

    def _opening(self, effort: Effort | None) -> str:
        thinking = self.family.thinking
        return thinking.opening if self._thinks(effort) else thinking.off_opening or ""

    def _assistant(self, effort: Effort | None) -> list[int]:
        return self._markup.encode(self._turns.assistant + self._opening(effort))

    def _opened(self, tokens: Sequence[int], effort: Effort | None) -> str:
        """The text of a turn with what the prompt put into the model's mouth."""
        return self._opening(effort) + self._tokenizer.decode(tokens)

    def _in_thinking(self, tokens: Sequence[int], effort: Effort | None) -> bool:
        text = self._opened(tokens, effort)
        return text.count("<think>") > text.count("</think>")


def quoted(output: str, *marks: str) -> str:
    """A program's output that cannot end the fence or element it stands in, nor open another: marks are broken up."""
    for mark in marks:
        output = output.replace(mark, f"{mark[0]} {mark[1:]}")
    return output
