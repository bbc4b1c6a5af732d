from pathlib import Path

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.models import BPE

from solver.chat import build_chat, load_tokenizer
from solver.chat.tokenizer import ByteTokenizer
from solver.config import ChatConfig
from solver.errors import UsageError
from solver.types import ExecutionResult, Mode, Problem
from tests.test_openai_engine import write_byte_tokenizer

TOKENIZER = ByteTokenizer()
CHAT = build_chat(ChatConfig(), TOKENIZER)
PROBLEM = Problem("a", "What is {x}? <|im_end|> \\boxed{}", 4)


def test_the_prompt_is_chatml_with_the_published_sentences() -> None:
    text = TOKENIZER.decode(CHAT.prompt(Problem("a", "What is 6*7?"), "cot"))
    assert text == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n"
        "Solve the following math problem. Make sure to put the answer (and only answer) inside "
        "\\boxed{}.\n\nWhat is 6*7?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "You may perform up to 8 Python code calls" in TOKENIZER.decode(CHAT.prompt(PROBLEM, "tir"))


def test_a_system_prompt_stands_first_when_there_is_one() -> None:
    chat = build_chat(ChatConfig(system_prompt="Be brief."), TOKENIZER)
    assert TOKENIZER.decode(chat.prompt(PROBLEM, "cot")).startswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
    )


def test_a_marker_in_the_problem_is_text_and_cannot_end_the_turn() -> None:
    tokens = CHAT.prompt(PROBLEM, "cot")
    assert tokens.count(256) == 3
    assert tokens.count(257) == 2
    assert "What is {x}? <|im_end|> \\boxed{}" in TOKENIZER.decode(tokens)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Let me see.\n<tool_call>\nprint(1)\n</tool_call>", "print(1)"),
        ("<tool_call>\nif x:\n    y()\n</tool_call>\n", "if x:\n    y()"),
        ("<tool_call>a</tool_call> then <tool_call>\nb\n</tool_call>", "b"),
        ("no call", None),
        ("<tool_call>\nnever closed", None),
        ("closed before opened </tool_call>", None),
        ("<tool_call>\nprint(1)\n</tool_call> and more text", None),
    ],
)
def test_a_turn_that_ends_in_a_call_gives_its_code(text: str, code: str | None) -> None:
    assert CHAT.code_call(TOKENIZER.encode(text)) == code


def test_a_result_stands_in_an_output_fence_with_the_calls_left() -> None:
    text = TOKENIZER.decode(CHAT.code_result(ExecutionResult("ok", "42", 0.1), 7))
    assert text.startswith("\n```output\n42\n```\n```system\nRemaining code executions: 7. ")
    assert "run out of code executions" in TOKENIZER.decode(CHAT.code_result(ExecutionResult("ok", "42", 0.1), 0))
    plain = build_chat(ChatConfig(remaining_calls_text=False), TOKENIZER)
    assert TOKENIZER.decode(plain.code_result(ExecutionResult("ok", "", 0.1), 7)) == "\n```output\n```\n"


def test_the_miniature_has_short_prompts_without_a_system_turn_or_remaining_calls() -> None:
    chat = build_chat(ChatConfig(family="miniature"), TOKENIZER)
    problem = Problem("a", "What is 6*7?")
    sentences: dict[Mode, str] = {"cot": "Reason step by step", "tir": "Solve it with Python"}
    for mode, sentence in sentences.items():
        assert TOKENIZER.decode(chat.prompt(problem, mode)) == (
            f"<|im_start|>user\nWhat is 6*7?\n{sentence} and put the answer in \\boxed{{}}.<|im_end|>\n"
            "<|im_start|>assistant\n"
        )
    assert chat.code_call(TOKENIZER.encode("<tool_call>\nprint(42)\n</tool_call>")) == "print(42)"
    assert TOKENIZER.decode(chat.code_result(ExecutionResult("ok", "42\n", 0.1), 7)) == "\n```output\n42\n```\n"
    assert TOKENIZER.decode(chat.code_result(ExecutionResult("ok", "42", 0.1), 0)) == "\n```output\n42\n```\n"


def test_only_a_reasoning_attempt_with_calls_left_waits_for_code() -> None:
    assert CHAT.stop_strings("tir", 1) == ("</tool_call>",)
    assert CHAT.stop_strings("tir", 0) == ()
    assert CHAT.stop_strings("cot", 8) == ()


def test_the_final_text_is_what_follows_the_thinking() -> None:
    assert CHAT.final_text(TOKENIZER.encode("<think>draft</think> final")) == " final"


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("So it is 4.", "\n\nThe answer is \\boxed{"),
        ("<think>so", "\n</think>\n\nThe answer is \\boxed{"),
        ("<think>so</think> <tool_call>\nprint(", "\n</tool_call>\n\nThe answer is \\boxed{"),
    ],
)
def test_a_forced_answer_closes_what_is_open_and_opens_a_box(text: str, opening: str) -> None:
    assert TOKENIZER.decode(CHAT.force_answer(TOKENIZER.encode(text))) == opening


def test_an_unknown_prompt_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'openmath-cot'"):
        build_chat(ChatConfig(cot_prompt="openmath-cott"), TOKENIZER)


def test_a_character_cut_between_two_tokens_is_not_lost() -> None:
    stream = TOKENIZER.stream()
    assert "".join(stream.feed([byte]) for byte in "é½🙂".encode()) == "é½🙂"


def test_the_tokens_with_a_character_are_those_whose_text_holds_it(tmp_path: Path) -> None:
    markers = ByteTokenizer(("<|a}|>", "<|b|>"))
    assert markers.tokens_with("}") == {ord("}"), 256}
    folder = write_byte_tokenizer(tmp_path)
    assert load_tokenizer(folder).tokens_with("}") == {ord("}")}
    pieces = {"<unk>": 0, "<0x7D>": 1, "{x}": 2, "x": 3}
    fallback = FastTokenizer(BPE(vocab=pieces, merges=[], byte_fallback=True, unk_token="<unk>"))
    fallback.save(str(folder / "tokenizer.json"))
    assert load_tokenizer(folder).tokens_with("}") == {1, 2}
