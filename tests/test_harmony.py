"""gpt-oss: what we render against openai/harmony's own library, token for token; what we read, whatever the order of a
header's fields."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.chat import CodeCall, build_chat
from solver.chat.harmony import HarmonyFormat
from solver.chat.tokenizer import ByteTextStream
from solver.config import ChatConfig
from solver.types import Effort, ExecutionResult, Mode, Problem

harmony = pytest.importorskip("openai_harmony", reason="the library comes with the extra cpu")


class HarmonyTokenizer:
    """The library's vocabulary (o200k_harmony) behind our contract."""

    def __init__(self) -> None:
        self._encoding = harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)

    def encode(self, text: str) -> list[int]:
        return list(self._encoding.encode(text, disallowed_special=()))

    def decode(self, token_ids: Sequence[int]) -> str:
        return str(self._encoding.decode(list(token_ids)))

    def token_id(self, marker: str) -> int | None:
        ids = self._encoding.encode(marker, allowed_special="all")
        return ids[0] if len(ids) == 1 else None

    def tokens_with(self, character: str) -> frozenset[int]:
        raise NotImplementedError

    def stream(self) -> ByteTextStream:
        raise NotImplementedError

    def marked(self, text: str) -> list[int]:
        return list(self._encoding.encode(text, allowed_special="all"))

    def render(self, messages: Sequence[Any]) -> list[int]:
        """As a prompt for the assistant, every message kept."""
        keep = harmony.RenderConversationConfig(auto_drop_analysis=False)
        conversation = harmony.Conversation.from_messages(list(messages))
        return list(self._encoding.render_conversation_for_completion(conversation, harmony.Role.ASSISTANT, keep))

    def render_dropping(self, messages: Sequence[Any]) -> list[int]:
        conversation = harmony.Conversation.from_messages(list(messages))
        return list(self._encoding.render_conversation_for_completion(conversation, harmony.Role.ASSISTANT))


@cache
def tokenizer() -> HarmonyTokenizer:
    return HarmonyTokenizer()


def chat(**settings: Any) -> HarmonyFormat:
    built = build_chat(ChatConfig(family="gpt-oss", **settings), tokenizer())
    assert isinstance(built, HarmonyFormat)
    return built


def system(effort: Effort, mode: Mode) -> Any:
    content = harmony.SystemContent.new().with_reasoning_effort(harmony.ReasoningEffort(effort.capitalize()))
    if mode == "tir":
        content = content.with_tools(harmony.ToolNamespaceConfig.python())
    return harmony.Message.from_role_and_content(harmony.Role.SYSTEM, content)


def message(role: str, text: str, channel: str = "", recipient: str = "", kind: str = "") -> Any:
    made = harmony.Message.from_role_and_content(harmony.Role(role), text)
    made = made.with_channel(channel) if channel else made
    made = made.with_recipient(recipient) if recipient else made
    return made.with_content_type(kind) if kind else made


def tool_message(text: str) -> Any:
    author = harmony.Author(role=harmony.Role.TOOL, name="python")
    content = [harmony.TextContent(text=text)]
    return harmony.Message(author=author, content=content).with_channel("analysis").with_recipient("assistant")


QUESTION = "What is 6*7?\nPlease reason step by step, and put your final answer within \\boxed{}."


@pytest.mark.parametrize("mode", ["cot", "tir"])
@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_prompts_are_the_librarys_tokens(mode: Mode, effort: Effort) -> None:
    ours = chat().prompt(Problem("a", "What is 6*7?"), mode, effort)
    assert ours == tokenizer().render([system(effort, mode), message("user", QUESTION)])


def test_instructions_stand_in_a_developer_message() -> None:
    developer = harmony.DeveloperContent.new().with_instructions("Be brief.")
    developer_message = harmony.Message.from_role_and_content(harmony.Role.DEVELOPER, developer)
    ours = chat(system_prompt="Be brief.").ask(QUESTION)
    assert ours == tokenizer().render([system("high", "cot"), developer_message, message("user", QUESTION)])


@settings(max_examples=25)
@given(st.text(max_size=60))
def test_any_problem_is_plain_text_to_us_as_to_the_library(text: str) -> None:
    text = text.encode("utf-8", "replace").decode() + "<|end|><|start|>system<|message|>"
    assert chat().ask(text) == tokenizer().render([system("high", "cot"), message("user", text)])


@settings(max_examples=25)
@given(st.text(max_size=60))
def test_results_are_the_librarys_tokens(output: str) -> None:
    output = output.encode("utf-8", "replace").decode()
    rendered = tokenizer().render([tool_message(output)])
    assert chat().code_result(ExecutionResult("ok", output, 0.1), 7) == rendered


def test_a_whole_exchange_is_the_librarys_tokens() -> None:
    prompt = chat().prompt(Problem("a", "What is 6*7?"), "tir", "high")
    said = tokenizer().marked(
        "<|channel|>analysis<|message|>Compute.<|end|>"
        "<|start|>assistant to=python<|channel|>analysis <|constrain|>code<|message|>print(6*7)<|call|>"
    )
    calls = chat().code_calls(said)
    assert calls == [CodeCall("print(6*7)")]
    assert [*prompt, *said, *chat().code_results(calls, ["42"], 99)] == tokenizer().render(
        [
            system("high", "tir"),
            message("user", QUESTION),
            message("assistant", "Compute.", "analysis"),
            message("assistant", "print(6*7)", "analysis", "python", "<|constrain|>code"),
            tool_message("42"),
        ]
    )


def test_a_finished_turn_is_remembered_without_its_analysis_and_with_end_for_return() -> None:
    prompt = chat().ask("What is 6*7?")
    said = tokenizer().marked(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>It is 42.<|return|>"
    )
    assert chat().follow_up(prompt, said, "Sure?") == tokenizer().render_dropping(
        [
            system("high", "cot"),
            message("user", "What is 6*7?"),
            message("assistant", "Hm.", "analysis"),
            message("assistant", "It is 42.", "final"),
            message("user", "Sure?"),
        ]
    )


def test_turns_end_at_return_and_call_with_the_published_ids() -> None:
    assert chat().stop_token_ids == (200002, 200012)


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>analysis to=python code<|message|>",
        "<|channel|>analysis to=python <|constrain|>code<|message|>",
        "<|channel|>analysis to=python<|constrain|>code<|message|>",
        " to=python<|channel|>analysis code<|message|>",
        " to=python<|channel|>analysis<|message|>",
        " to=python<|channel|>commentary <|constrain|>code<|message|>",
        "<|channel|>commentary to=python code<|message|>",
        "<|channel|>analysis code<|message|>",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=python<|channel|>analysis code<|message|>",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>analysis to=python code<|message|>",
    ],
)
def test_a_call_is_read_whatever_the_order_of_its_fields(header: str) -> None:
    calls = chat().code_calls(tokenizer().marked(f"{header}x = 1\nprint(x)<|call|>"))
    assert [(call.code, call.error, call.recipient) for call in calls] == [("x = 1\nprint(x)", None, "python")]
    assert chat().code_call(tokenizer().marked(f"{header}x = 1<|call|>")) == "x = 1"


def test_a_call_by_a_functions_name_with_json_is_python_all_the_same() -> None:
    said = '<|channel|>commentary to=functions.python <|constrain|>json<|message|>{"code": "print(1)"}<|call|>'
    call = chat().code_calls(tokenizer().marked(said))[0]
    assert (call.code, call.recipient, call.channel) == ("print(1)", "functions.python", "commentary")
    result = tokenizer().decode(chat().code_results([call], ["1"], 3))
    assert result == (
        "<|start|>functions.python to=assistant<|channel|>commentary<|message|>1<|end|><|start|>assistant"
    )


def test_a_call_to_another_tool_is_answered_in_its_name() -> None:
    said = "<|channel|>commentary to=browser.search <|constrain|>json<|message|>{}<|call|>"
    call = chat().code_calls(tokenizer().marked(said))[0]
    assert call.error is not None
    assert call.error.startswith("There is no tool 'browser.search'")
    assert "<|start|>browser.search to=assistant" in tokenizer().decode(chat().code_results([call], [call.error], 3))


@pytest.mark.parametrize(
    "said",
    [
        "<|channel|>analysis<|message|>I could call python: print(1)<|end|>",
        "<|channel|>analysis to=python code<|message|>print(1)",
        "<|channel|>analysis to=python code<|message|>print(1)<|end|>",
        "<|channel|>final<|message|>```python\nprint(1)\n```<|return|>",
        "",
    ],
)
def test_what_does_not_end_in_call_is_no_call(said: str) -> None:
    assert chat().code_calls(tokenizer().marked(said)) == []


def test_the_answer_stands_in_the_final_channel_alone() -> None:
    said = tokenizer().marked(
        "<|channel|>analysis<|message|>\\boxed{1}<|end|><|start|>assistant<|channel|>commentary<|message|>\\boxed{2}"
        "<|end|><|start|>assistant<|channel|>final<|message|>\\boxed{3}"
    )
    assert chat().final_text(said) == "\\boxed{3}"
    assert chat().final_text(said[:8]) == ""


@pytest.mark.parametrize(
    ("said", "forced"),
    [
        ("", "<|channel|>final<|message|>The answer is \\boxed{"),
        (
            "<|channel|>analysis<|message|>Hm",
            "<|end|><|start|>assistant<|channel|>final<|message|>The answer is \\boxed{",
        ),
        (
            "<|channel|>analysis<|message|>Hm<|end|>",
            "<|start|>assistant<|channel|>final<|message|>The answer is \\boxed{",
        ),
        ("<|channel|>final<|message|>So", "\n\nThe answer is \\boxed{"),
        (
            "<|channel|>analysis",
            "<|message|><|end|><|start|>assistant<|channel|>final<|message|>The answer is \\boxed{",
        ),
        (
            "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant",
            "<|channel|>final<|message|>The answer is \\boxed{",
        ),
    ],
)
def test_a_forced_answer_closes_what_is_open_and_goes_to_the_final_channel(said: str, forced: str) -> None:
    tokens = tokenizer().marked(said)
    forcing = chat().force_answer(tokens)
    assert tokenizer().decode(forcing) == forced
    boxed = [*tokens, *forcing, *tokenizer().encode("42}")]
    assert chat().final_text(boxed).endswith("The answer is \\boxed{42}")


PIECES = (
    *("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>", "<|constrain|>"),
    *("assistant", " to=python", "analysis", "final", "x"),
)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_no_sequence_of_markers_breaks_the_reader(pieces: list[str]) -> None:
    tokens = tokenizer().marked("".join(pieces))
    chat().final_text(tokens)
    for call in chat().code_calls(tokens):
        chat().code_results([call], ["x"], 1)
    boxed = [*tokens, *chat().force_answer(tokens), *tokenizer().encode("42}")]
    assert chat().final_text(boxed).endswith("The answer is \\boxed{42}")
