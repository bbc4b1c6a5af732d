"""The table of model families for the docs: `python -m solver.chat.table > docs/families.md`."""

import sys

from solver.chat.families import FAMILIES
from solver.chat.family import CodeStyle, Family
from solver.chat.settle import MAX_MODEL_LEN, MAX_TOKENS

_HEAD = f"""# Model families

Generated from `solver/chat/families.py` by `python -m solver.chat.table > docs/families.md`; a test checks that it is
up to date.

A run takes the family from `chat.family`, or recognises it in the model's folder (`chat.family = "auto"`, the default):
by `model_type` in `config.json` and by the chat template, then, where several families write alike, by the folder's
name or its merge recipe. `python -m solver doctor --model DIR` tells which and why, and whether the folder's own chat
template writes what we write. A folder whose tokenizer lacks the markers of the
family's turns is refused.

Unless a preset or `--set` says otherwise, sampling and number of code calls are the family's, and so are context and
tokens of an attempt, cut to {MAX_MODEL_LEN:,} and {MAX_TOKENS:,}: a KV cache for more is a choice for one GPU. The
presets `aimo-3-gpt-oss-120b` and `nemotron-3-nano-h200` make it; elsewhere `--set engine.max_model_len=N` and
`--set attempts.max_tokens=N` do. `python -m solver config --model DIR` shows what holds.
None of these models but the miniature has been run here: formats are tested against texts rendered from the original
templates (`tests/data/chat_*.json` name them), gpt-oss against openai/harmony's library token for token.
`pytest tests/test_families.py --model DIR` repeats the comparison with a real folder's template and tokenizer.

"""
_CODE: dict[CodeStyle, str] = {
    "inline": "raw Python in the assistant's turn",
    "hermes": "function `python`, JSON in `<tool_call>`",
    "hermes-qwq": "function `python`, JSON in `<tool_call>`",
    "toolcall": "function `python`, JSON list in `<TOOLCALL>`",
    "toolcall-tool": "function `python`, JSON list in `<TOOLCALL>`",
    "xml": "function `python`, XML in `<tool_call>`",
    "harmony": "built-in tool `python`, analysis channel",
}
_TAIL = """
**Python.** "trained" means that the family was trained to call Python in this form. The others were trained to call
functions: Python is offered to them as a function `python(code)`, which is a choice made here, not by their authors. A
family without either reasons in text alone, whatever `attempts.tir_share` says; a mix that asks it for Python is
refused.
Calls inside thinking count for OpenMath and gpt-oss, which are trained so, and for no other family.

**Effort.** `chat.effort`, or an attempt's in `attempts.mix = ["7 cot low", "8 tir high"]`. Where a family has only a
switch, `low` turns thinking off; the default is to think. gpt-oss has to be told: the default is `high`, as in its
results on contests, where its own template would say `medium`. Each attempt's mode and effort stand in the journal.

**Thinking budget.** `attempts.thinking_tokens = N`: after N tokens the family's sentence closes the thinking and the
model goes on to its answer. Families not made for it refuse the setting.
"""


def table() -> str:
    """The whole page, as Markdown."""
    rows = ["| " + " | ".join(_cells(family)) + " |" for family in FAMILIES.values()]
    columns = ("`chat.family`", "models", "Python", "thinking", "effort", "budget", "sampling", "context", "licence")
    head = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return _HEAD + "\n".join([*head, *rows]) + "\n" + _TAIL + _details()


def _cells(family: Family) -> tuple[str, ...]:
    s = family.sampling
    extra = "".join(f", {name} {value:g}" for name, value in (("top-k", s.top_k), ("min-p", s.min_p)) if value)
    return (
        f"`{family.name}`",
        family.models,
        _python(family),
        _thinking(family),
        ", ".join(f"**{it}**" if it == family.effort else it for it in family.efforts) or "-",
        "yes" if family.thinking.budget_end else "-",
        f"T {s.temperature:g}, top-p {s.top_p:g}{extra}",
        f"{family.context:,}; {family.max_tokens:,} an attempt",
        family.licence,
    )


def _python(family: Family) -> str:
    if family.code is None:
        return "none: chain of thought only"
    trained = "trained" if family.code_trained else "not trained on Python"
    return f"{_CODE[family.code]}; {trained}; {family.max_code_calls} calls"


def _thinking(family: Family) -> str:
    if family.code == "harmony":
        return "channel `analysis`, answer in `final`"
    return "opened by the prompt" if family.thinking.opening else "opened by the model, if at all"


def _details() -> str:
    lines = ["\n## Sources\n\n"]
    for family in FAMILIES.values():
        ends = ", ".join(f"`{marker}`" for marker in (family.turns.end, *family.turns.stops))
        notes = f" {family.notes}" if family.notes else ""
        lines.append(f"- `{family.name}`: {family.source}. Stops at {ends}.{notes}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table())
