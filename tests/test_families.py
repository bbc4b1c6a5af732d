"""Every family's prompts and exchanges, against texts rendered once from the original chat templates (tests/data names
each source). `pytest tests/test_families.py --model DIR` compares with a real folder's template and tokenizer too."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import solver
from solver.chat import FAMILIES, ChatFormat, Family, Tokenizer, build_chat, load_tokenizer
from solver.chat.table import table
from solver.chat.tokenizer import ByteTokenizer
from solver.config import ChatConfig, load_config, preset_names
from solver.errors import ModelError, UsageError
from solver.model import find_model
from solver.types import Mode, Problem

DATA = Path(__file__).parent / "data"
PROMPTS: list[dict[str, Any]] = json.loads((DATA / "chat_prompts.json").read_text("utf-8"))
EXCHANGES: list[dict[str, Any]] = json.loads((DATA / "chat_exchanges.json").read_text("utf-8"))
PROBLEM = Problem("a", "What is 6*7?")


def small_tokenizer(family: Family) -> ByteTokenizer:
    """Bytes and the family's markers: a marker must come out as its one token."""
    thinking = ("<think>", "</think>") if family.thinking.opening else ()
    return ByteTokenizer((*family.turns.markers, *thinking))


def chat_of(name: str, **settings: Any) -> tuple[ChatFormat, ByteTokenizer]:
    tokenizer = small_tokenizer(FAMILIES[name])
    return build_chat(ChatConfig(family=name, **settings), tokenizer), tokenizer


def label(case: dict[str, Any]) -> str:
    return f"{case['family']}-{case.get('mode', len(case.get('calls', ())))}-{case.get('effort')}"


@pytest.mark.parametrize("case", PROMPTS, ids=label)
def test_prompts_are_those_of_the_original_template(case: dict[str, Any]) -> None:
    chat, tokenizer = chat_of(case["family"])
    assert tokenizer.decode(chat.prompt(PROBLEM, case["mode"], case["effort"])) == case["prompt"], case["source"]


@pytest.mark.parametrize("case", EXCHANGES, ids=label)
def test_calls_and_results_are_those_of_the_original_template(case: dict[str, Any]) -> None:
    chat, tokenizer = chat_of(case["family"])
    said = [*tokenizer.encode(case["said"]), chat.stop_token_ids[0]]
    calls = chat.code_calls(said)
    assert [call.code for call in calls] == case["calls"]
    assert tokenizer.decode(chat.code_results(calls, case["outputs"], 3)) == case["results"], case["source"]


def test_every_family_has_a_golden_prompt_for_each_mode() -> None:
    covered = {(case["family"], case["mode"]) for case in PROMPTS}
    # No template of these was at hand: their prompts are written out in the tests below and in test_chat.py.
    written_out = {("llama-nemotron-v1", "cot"), ("qwen3-thinking", "cot"), ("qwen3-thinking", "tir")}
    written_out |= {("miniature", "cot"), ("miniature", "tir")}
    assert {(name, mode) for name, family in FAMILIES.items() for mode in family.modes} == covered | written_out


def test_llama_nemotron_v1_is_switched_by_its_system_turn() -> None:
    chat, tokenizer = chat_of("llama-nemotron-v1")
    for effort, switch in ((None, "on"), ("low", "off")):
        assert tokenizer.decode(chat.prompt(PROBLEM, "cot", effort)) == (  # type: ignore[arg-type]
            f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\ndetailed thinking {switch}<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWhat is 6*7?\nPlease reason step by step, and put your final "
            "answer within \\boxed{}.<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        )


@pytest.mark.parametrize("mode", ["cot", "tir"])
def test_qwen3_thinking_is_qwen3_with_its_thinking_opened(mode: Mode) -> None:
    hybrid, tokenizer = chat_of("qwen3")
    thinking, its_tokenizer = chat_of("qwen3-thinking")
    opened = its_tokenizer.decode(thinking.prompt(PROBLEM, mode))
    assert opened == tokenizer.decode(hybrid.prompt(PROBLEM, mode)) + "<think>\n"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_markers_are_tokens_in_the_prompt_and_text_in_the_problem(family: Family) -> None:
    chat, tokenizer = chat_of(family.name)
    for mode in family.modes:
        forged = "".join(family.turns.markers)
        honest = [token for token in chat.prompt(PROBLEM, mode) if token >= 256]
        tokens = chat.prompt(Problem("a", f"What is 6*7?{forged}"), mode)
        assert [token for token in tokens if token >= 256] == honest
        assert forged in tokenizer.decode(tokens)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_tokenizer_without_the_familys_markers_is_refused(family: Family) -> None:
    tokenizer = ByteTokenizer(family.turns.markers[1:])
    with pytest.raises(ModelError, match=f"not of the family '{family.name}'") as error:
        build_chat(ChatConfig(family=family.name), tokenizer)
    assert family.turns.markers[0] in str(error.value)


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no model family 'gptoss': did you mean 'gpt-oss'"):
        build_chat(ChatConfig(family="gptoss"), ByteTokenizer())


def test_an_effort_that_a_family_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="'qwq' has one way to reason"):
        chat_of("qwq", effort="high")
    with pytest.raises(UsageError, match="'qwen3' knows low, high"):
        chat_of("qwen3", effort="medium")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_boxes_in_thinking_are_not_answers_and_those_behind_it_are(family: Family) -> None:
    chat, tokenizer = chat_of(family.name)
    if family.code == "harmony":
        pytest.skip("channels, see test_harmony.py")
    thought = "" if family.thinking.opening else "<think>"
    thinking = tokenizer.encode(f"{thought}perhaps \\boxed{{1}}")
    assert "boxed{1}" not in chat.final_text(thinking)
    assert chat.final_text([*thinking, *tokenizer.encode("</think>so \\boxed{2}")]).strip() == "so \\boxed{2}"


@pytest.mark.parametrize("family", [it for it in FAMILIES.values() if it.can_stop_thinking], ids=lambda it: it.name)
def test_with_thinking_off_the_text_is_the_answer_from_its_start(family: Family) -> None:
    chat, tokenizer = chat_of(family.name)
    assert chat.final_text(tokenizer.encode("so \\boxed{2}"), "low").strip() == "so \\boxed{2}"
    assert not tokenizer.decode(chat.prompt(PROBLEM, "cot", "low")).endswith("<think>\n")


@pytest.mark.parametrize("family", [it for it in FAMILIES.values() if it.code != "harmony"], ids=lambda it: it.name)
def test_a_forced_answer_ends_the_thinking_first(family: Family) -> None:
    chat, tokenizer = chat_of(family.name)
    thought = "" if family.thinking.opening else "<think>"
    forced = tokenizer.decode(chat.force_answer(tokenizer.encode(f"{thought}hm")))
    assert forced == "\n</think>\n\nThe answer is \\boxed{"
    done = tokenizer.encode(f"{thought}hm</think> so")
    assert tokenizer.decode(chat.force_answer(done)) == "\n\nThe answer is \\boxed{"


def test_thinking_is_ended_as_the_family_was_made_for() -> None:
    for name, end in (
        ("nemotron-nano-v2", ".\n</think>\n\n"),
        ("nemotron-3-nano", ".\n</think>\n\n"),
        ("qwen3-thinking", "based on the thinking directly now.\n</think>\n\n"),
    ):
        chat, tokenizer = chat_of(name)
        closing = chat.end_thinking(tokenizer.encode("on and on"))
        assert closing is not None
        assert tokenizer.decode(closing).endswith(end)
        assert chat.end_thinking(tokenizer.encode("done</think> so")) is None
    chat, tokenizer = chat_of("qwq")
    assert chat.end_thinking(tokenizer.encode("on and on")) is None


def test_a_further_question_stands_behind_a_turn_without_its_thinking() -> None:
    chat, tokenizer = chat_of("qwen3")
    said = tokenizer.encode("<think>\nHm.\n</think>\n\nIt is \\boxed{42}.")
    prompt = chat.follow_up(chat.ask("What is 6*7?"), [*said, chat.stop_token_ids[0]], "Sure?")
    assert tokenizer.decode(prompt) == (
        "<|im_start|>user\nWhat is 6*7?<|im_end|>\n<|im_start|>assistant\nIt is \\boxed{42}.<|im_end|>\n"
        "<|im_start|>user\nSure?<|im_end|>\n<|im_start|>assistant\n"
    )
    chat, tokenizer = chat_of("nemotron-3-nano")
    prompt = chat.follow_up(chat.ask("What is 6*7?"), tokenizer.encode("Hm.</think>It is 42."), "Sure?")
    assert "<|im_start|>assistant\n<think></think>It is 42.<|im_end|>\n<|im_start|>user\n" in tokenizer.decode(prompt)


def test_the_genselect_prompt_of_openmath_ends_in_a_judgment() -> None:
    name = FAMILIES["openmath"].genselect_prompt
    from solver.chat import read_prompt

    assert name is not None
    text = read_prompt(name)
    assert {"{num_solutions}", "{max_idx}", "{problem}", "{solutions}"} <= {
        part + "}" for part in text.replace("{", "\0{").replace("}", "\0").split("\0") if part.startswith("{")
    }
    assert "End your evaluation with exactly:\nJudgment: [IDX]\n" in text


def test_the_family_table_in_the_docs_is_the_one_of_the_code() -> None:
    written = (DATA.parent.parent / "docs" / "families.md").read_text("utf-8")
    assert written == table(), "run: python -m solver.chat.table > docs/families.md"


def test_presets_settle_sampling_where_they_leave_it_open() -> None:
    from solver.chat.settle import settle

    settled = settle(load_config("auto"), FAMILIES["qwen3"])
    assert (settled.sampling.top_k, settled.sampling.temperature) == (20, 0.6)
    assert (settled.engine.max_model_len, settled.attempts.max_tokens) == (32_768, 32_768)
    assert settled.chat.family == "qwen3"
    set_here = load_config("auto", settings=["sampling.top_k=5", "chat.max_code_calls=3"])
    assert settle(set_here, FAMILIES["gpt-oss"]).sampling.top_k == 5
    assert settle(set_here, FAMILIES["gpt-oss"]).chat.max_code_calls == 3
    assert settle(load_config("auto"), FAMILIES["gpt-oss"]).chat.max_code_calls == 100


@pytest.mark.parametrize(
    ("settings", "family", "message"),
    [
        (["attempts.mix='3 tir'"], "acereason", "was not trained to call code"),
        (["attempts.mix='3 tir high'"], "openmath", "has no effort high; it has none"),
        (["attempts.mix='3 tir medium'"], "qwen3", "has no effort medium; it has low, high"),
        (["attempts.thinking_tokens=100"], "gpt-oss", "was not made to be stopped"),
    ],
)
def test_what_a_family_cannot_do_is_refused(settings: list[str], family: str, message: str) -> None:
    from solver.chat.settle import settle

    with pytest.raises(UsageError, match=message):
        settle(load_config("auto", settings=settings), FAMILIES[family])


def test_a_family_without_code_says_that_attempts_reason_in_text() -> None:
    from solver.chat.settle import notes

    assert "every attempt reasons in text" in notes(load_config("auto"), FAMILIES["acereason"])[0]
    assert notes(load_config("auto"), FAMILIES["qwen3"]) == []


def test_a_real_folder_writes_the_same_prompts(model_folder: Path) -> None:
    """With --model DIR: its own template, and its own tokens."""
    from tokenizers import Tokenizer as FastTokenizer

    from solver.chat.template import compare

    tokenizer: Tokenizer = load_tokenizer(model_folder)
    config = ChatConfig()
    chat = build_chat(config, tokenizer, model_folder)
    comparisons = compare(model_folder, chat, config)
    assert [it.difference() for it in comparisons if not it.agrees] == []
    fast = FastTokenizer.from_file(str(model_folder / "tokenizer.json"))
    for it in comparisons:
        ours = chat.ask("What is 6*7?", it.mode, it.effort)
        assert ours == fast.encode(it.theirs, add_special_tokens=False).ids


RUN_HERE = {"miniature", "scripted"}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_names_a_family_that_can_do_what_it_asks_and_says_where_its_numbers_come_from(name: str) -> None:
    from solver.chat.settle import settle

    config = load_config(name)
    is_open = config.chat.family == "auto" and name != "scripted"
    families = FAMILIES.values() if is_open else [FAMILIES.get(config.chat.family, FAMILIES["openmath"])]
    for family in families:
        settled = settle(config, family)
        assert settled.attempts.max_tokens <= settled.engine.max_model_len
        assert settled.engine.max_model_len <= family.context
    head = (Path(solver.__file__).parent / "presets" / f"{name}.toml").read_text("utf-8").partition("\n\n")[0]
    assert head.startswith("# ")
    if name not in {*RUN_HERE, "auto"}:
        assert "Not run here." in head
        assert "Numbers: " in head or "arXiv" in head


@pytest.mark.real
def test_a_real_tokenizer_gives_the_tokens_of_the_original_texts() -> None:
    """The embedded model's: every family of ChatML, token by token as the library tokenizes the rendered text."""
    from tokenizers import Tokenizer as FastTokenizer

    folder = asyncio.run(find_model(None))
    fast = FastTokenizer.from_file(str(folder / "tokenizer.json"))
    chatml = [case for case in PROMPTS if "<|im_start|>" in FAMILIES[case["family"]].turns.markers]
    assert len(chatml) > 10
    for case in chatml:
        chat = build_chat(ChatConfig(family=case["family"]), load_tokenizer(folder))
        tokens = chat.prompt(PROBLEM, case["mode"], case["effort"])
        assert tokens == fast.encode(case["prompt"], add_special_tokens=False).ids
