"""Python offered as a function, to families that were trained to call functions: the model ends its turn with one or
more calls, the results are a turn of their own, and it goes on in a new turn. Calls inside thinking are no calls.

Sources: the families' chat templates (`solver.chat.families`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from solver.answer import final_part
from solver.chat.base import CodeCall, Tokenizer, Wording, read_prompt
from solver.chat.family import Family
from solver.chat.turns import TurnFormat, quoted
from solver.types import Effort, Mode


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one family's calls and results are written."""

    call: re.Pattern[str]
    """One or several calls; its group is what `reads` says."""
    reads: Literal["json", "json list", "xml"]
    tools: str
    """The prompt file that declares the function, with `{tool}`."""
    results: str
    """The turn of results, with `{text}`."""
    result: str
    """One result, with `{output}`."""
    separator: str
    is_json: bool
    """The output is written as a JSON string."""
    lead: str = ""
    """What stands before the declaration where the system turn says nothing else."""


_HERMES = Syntax(
    call=re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL),
    reads="json",
    tools="hermes-tools",
    results="<|im_start|>user\n{text}<|im_end|>\n",
    result="<tool_response>\n{output}\n</tool_response>",
    separator="\n",
    is_json=False,
)
SYNTAXES: Mapping[str, Syntax] = {
    "hermes": _HERMES,
    "hermes-qwq": replace(_HERMES, lead="\n\n"),
    "xml": replace(_HERMES, reads="xml", tools="nemotron-3-tools", results="<|im_start|>user\n{text}\n<|im_end|>\n"),
    "toolcall": Syntax(
        call=re.compile(r"<TOOLCALL>\s*(.*?)\s*</TOOLCALL>", re.DOTALL),
        reads="json list",
        tools="nemotron-nano-v2-tools",
        results="<SPECIAL_11>User\n<TOOL_RESPONSE>[{text}]</TOOL_RESPONSE>\n",
        result="{output}",
        separator=", ",
        is_json=True,
    ),
    "toolcall-tool": Syntax(
        call=re.compile(r"<TOOLCALL>\s*(.*?)\s*</TOOLCALL>", re.DOTALL),
        reads="json list",
        tools="llama-nemotron-tools",
        results="<|start_header_id|>tool<|end_header_id|>\n\n<TOOL_RESPONSE>[{text}]</TOOL_RESPONSE><|eot_id|>",
        result='{"response": {output}}',
        separator=", ",
        is_json=True,
    ),
}
_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=code>\n?(.*?)\n?</parameter>", re.DOTALL)


class FunctionFormat(TurnFormat):
    def __init__(self, family: Family, tokenizer: Tokenizer, wording: Wording, syntax: Syntax) -> None:
        super().__init__(family, tokenizer, wording)
        self._syntax = syntax
        self._tools = read_prompt(syntax.tools).replace("{tool}", declaration(wrapped=syntax.reads == "json"))
        self._tools = self._tools.replace("{description}", read_prompt("python-tool"))
        self._tools = self._tools.replace("{code}", read_prompt("python-tool-code"))

    def code_calls(self, new_tokens: Sequence[int], effort: Effort | None = None) -> list[CodeCall]:
        if not new_tokens or new_tokens[-1] not in self._stops:
            return []  # a call cut off by a limit, or a turn that goes on
        said = final_part(self._opened(new_tokens, effort))
        return [call for found in self._syntax.call.finditer(said) for call in self._read(found.group(1))]

    def code_results(
        self, calls: Sequence[CodeCall], outputs: Sequence[str], calls_left: int, effort: Effort | None = None
    ) -> list[int]:
        results = self._syntax.separator.join(self._result(output) for output in outputs)
        turn = self._markup.encode(self._syntax.results, results)
        return [*self._markup.encode(self._turns.after_end), *turn, *self._assistant(effort)]

    def final_text(self, tokens: Sequence[int], effort: Effort | None = None) -> str:
        """What each of the model's turns says after its thinking; results of calls are left out."""
        turns = self._own_turns(tokens)
        return "\n".join(final_part(self._opened(turn, effort)) for turn in turns)

    def _in_thinking(self, tokens: Sequence[int], effort: Effort | None) -> bool:
        return super()._in_thinking(self._own_turns(tokens)[-1], effort)

    def _own_turns(self, tokens: Sequence[int]) -> list[list[int]]:
        """The tokens of the model's turns; what it was opened with (thinking) is cut off as the first turn's is."""
        opening = len(self._header)
        turns, rest = [], list(tokens)
        while (at := self._find_header(rest)) is not None:
            turns.append(self._up_to_end(rest[:at]))
            rest = rest[at + opening :]
        turns.append(rest)
        return turns

    def _find_header(self, tokens: list[int]) -> int | None:
        """Where the next turn of the model starts. Its first token is a marker: no program's output can be one."""
        length = len(self._header)
        for at, token in enumerate(tokens):
            if token == self._header[0] and tokens[at : at + length] == self._header:
                return at
        return None

    def _up_to_end(self, tokens: list[int]) -> list[int]:
        ends = [at for at, token in enumerate(tokens) if token in self._stops]
        return tokens[: ends[0]] if ends else tokens

    def _opened(self, tokens: Sequence[int], effort: Effort | None) -> str:
        """A later turn's opening stands in the transcript; the first one's stands in the prompt."""
        text, opening = self._tokenizer.decode(tokens), self._opening(effort)
        return text if opening and text.startswith(opening) else opening + text

    def _system(self, mode: Mode, effort: Effort | None) -> str | None:
        system = super()._system(mode, effort)
        if mode == "cot":
            return system
        if system and not system.isspace():
            return f"{system}\n\n{self._tools}"
        return (system or self._syntax.lead) + self._tools

    def _result(self, output: str) -> str:
        output = output.rstrip("\n")
        output = json.dumps(output, ensure_ascii=False) if self._syntax.is_json else quoted(output, "</tool_response>")
        return self._syntax.result.replace("{output}", output)

    def _read(self, text: str) -> list[CodeCall]:
        if self._syntax.reads == "xml":
            return [_xml_call(text)]
        try:
            value = json.loads(text, strict=False)  # line ends inside strings are common, and harmless
        except ValueError:
            return [_malformed()]
        values = value if isinstance(value, list) and self._syntax.reads == "json list" else [value]
        return [_json_call(value) for value in values]


def declaration(*, wrapped: bool) -> str:
    """The function as JSON, as chat templates write it."""
    function: dict[str, Any] = {
        "name": "python",
        "description": read_prompt("python-tool"),
        "parameters": {
            "type": "object",
            "properties": {"code": {"type": "string", "description": read_prompt("python-tool-code")}},
            "required": ["code"],
        },
    }
    return json.dumps({"type": "function", "function": function} if wrapped else function, ensure_ascii=False)


def _json_call(value: object) -> CodeCall:
    arguments = value.get("arguments") if isinstance(value, dict) else None
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, strict=False)
        except ValueError:
            return CodeCall(arguments)  # the code itself, where a string was asked for
    code = arguments.get("code") if isinstance(arguments, dict) else arguments
    return CodeCall(code) if isinstance(code, str) else _malformed()


def _xml_call(text: str) -> CodeCall:
    function = _FUNCTION.search(text)
    parameter = _PARAMETER.search(function.group(2)) if function else None
    return CodeCall(parameter.group(1)) if parameter else _malformed()


def _malformed() -> CodeCall:
    return CodeCall("", read_prompt("python-tool-malformed"))
