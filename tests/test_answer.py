import json
import threading
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.answer import extract_answer, last_boxed, parse_integer
from solver.competition import COMPETITIONS

OPEN = COMPETITIONS["open"]
CASES = Path(__file__).parent / "data" / "extraction.jsonl"
"""Ends of real outputs (`source` names the model; the text inside its box where only that is recorded) and cases made
by hand, each with the answer that stands in it."""

ACCEPTED = [
    (r"\boxed{17}", 17),
    (r"so \boxed{ 17 }.", 17),
    (r"\boxed {17}", 17),
    (r"\fbox{17}", 17),
    (r"\boxed{0}", 0),
    (r"\boxed{007}", 7),
    (r"\boxed{-5}", -5),
    ("\\boxed{\u22125}", -5),
    (r"\boxed{- 3}", -3),
    (r"\boxed{+3}", 3),
    ("\\boxed{\uff11\uff17}", 17),
    (r"\boxed{17.}", 17),
    (r"\boxed{17.0}", 17),
    (r"\boxed{$42$}", 42),
    (r"\boxed{\(42\)}", 42),
    (r"\boxed{1,234}", 1234),
    (r"\boxed{1{,}234{,}567}", 1234567),
    (r"\boxed{12\,345}", 12345),
    (r"\boxed{1 234 567}", 1234567),
    (r"\boxed{1_000}", 1000),
    (r"\boxed{\text{17}}", 17),
    (r"\boxed{\mathbf{42}}", 42),
    (r"\boxed{\textbf{(C) }12}", 12),
    (r"\boxed{17\text{ cm}}", 17),
    (r"\boxed{n = 17}", 17),
    (r"\boxed{m+n=17}", 17),
    (r"\boxed{\boxed{8}}", 8),
    (r"\boxed{3} no, rather \boxed{4}", 4),
    (r"\boxed{5} and \boxed{6", 5),
    (r"{ \boxed{5} } }", 5),
    ("<think>\\boxed{4}</think> \\boxed{5}", 5),
    ("\\boxed{4}\n```output\n\\boxed{5}\n```\n", 4),
    ("\\boxed{4}\n<tool_call>\nprint(r'\\boxed{5}')\n</tool_call>", 4),
    ("```python\n\\boxed{3}\n```\nhence \\boxed{4}", 4),
]
REFUSED = [
    "",
    "the final answer is 3 cases",
    r"\boxed{}",
    r"\boxed{\frac{1}{2}}",
    r"\boxed{3.5}",
    r"\boxed{x=3, y=4}",
    r"\boxed{12 34}",
    r"\boxed{12,34}",
    r"\boxed{17\%}",
    r"\boxed{6",
    r"boxed{6}",
    "<think>\\boxed{4}",
    "<think>a</think> <think>\\boxed{4}</think> none",
    "```output\n\\boxed{5}",
]


@pytest.mark.parametrize(("text", "answer"), ACCEPTED)
def test_a_boxed_integer_is_read_however_it_is_dressed(text: str, answer: int) -> None:
    assert extract_answer(text, OPEN) == answer


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_boxed_integer_is_no_answer(text: str) -> None:
    assert extract_answer(text, OPEN) is None


def test_the_recorded_outputs_are_read_as_they_always_were() -> None:
    cases = [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]
    assert sum(case["source"] != "by hand" for case in cases) >= 200
    wrong = [(case, found) for case in cases if (found := extract_answer(case["text"], OPEN)) != case["answer"]]
    assert not wrong


def test_each_competition_admits_its_own_range() -> None:
    assert extract_answer(r"\boxed{1234}", COMPETITIONS["aimo-2"]) == 234
    assert extract_answer(r"\boxed{-1}", COMPETITIONS["aimo-1"]) == 999
    assert extract_answer(r"\boxed{99999}", COMPETITIONS["aimo-3"]) == 99999
    assert extract_answer(r"\boxed{100000}", COMPETITIONS["aimo-3"]) is None
    assert extract_answer(r"\boxed{-1}", COMPETITIONS["aimo-3"]) is None
    assert extract_answer(r"\boxed{0}", COMPETITIONS["aimo-3"]) == 0


PIECES = [*"\\{}0123456789,.= -$`<>/\n½٣", "\\boxed{", "```", "<think>", "</think>", "<tool_call>", "\\text{"]
TEXT = st.lists(st.sampled_from(PIECES)).map("".join)


@given(st.one_of(st.text(), TEXT))
def test_extraction_never_raises_and_stays_in_range(text: str) -> None:
    for competition in COMPETITIONS.values():
        answer = extract_answer(text, competition)
        assert answer is None or competition.answer_min <= answer <= competition.answer_max


@given(st.integers(-(10**18), 10**18), TEXT)
def test_a_closed_box_at_the_end_is_found_after_any_plain_text(value: int, noise: str) -> None:
    noise = noise.replace("`", "").replace("<", "").replace("\\", "")
    assert extract_answer(f"{noise}\n\\boxed{{{value}}}", OPEN) == value


@given(st.integers())
def test_every_integer_survives_being_written(value: int) -> None:
    assert parse_integer(str(value)) == value
    assert parse_integer(f"{value:,}") == value


EXPRESSION = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", r"\cdot "]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.integers(0, 5)).map(lambda t: f"{{({t[0]})}}^{{{t[1]}}}"),
    ),
    max_leaves=6,
)


@given(EXPRESSION)
def test_an_expression_has_the_value_python_gives_it(text: str) -> None:
    program = text.replace(r"\cdot ", "*").replace("^", "**").replace("{", "(").replace("}", ")")
    assert parse_integer(text) == eval(program)


@given(st.integers(0, 10**9), st.integers(0, 10**12), st.integers(1, 10**6))
def test_a_power_under_a_modulus_is_a_modular_power(base: int, exponent: int, modulus: int) -> None:
    assert parse_integer(rf"{base}^{{{exponent}}} \bmod {modulus}") == pow(base, exponent, modulus)


@given(st.integers(2, 99), st.integers(2, 12), st.integers(3_000, 20_000), st.integers(1, 10**4))
def test_an_exponent_too_large_to_write_out_is_reduced(base: int, middle: int, top: int, modulus: int) -> None:
    assert parse_integer(rf"{base}^{{{middle}^{{{top}}}}} \bmod {modulus}") == pow(base, middle**top, modulus)


MONSTERS = ["{", "}", "`", "```", " ", "= ", "1,", "\\", "<think>", "<tool_call>"]
MONSTERS += [r"\boxed{", r"\boxed{5}", r"\text{", r"\boxed{\text{", r"\boxed ", r"\fbox  "]


@pytest.mark.parametrize("piece", MONSTERS)
def test_time_grows_linearly_with_the_text(piece: str) -> None:
    """Eight times the text takes far less than 64 times the time: a ratio in one process, not a speed."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        best = float("inf")
        for _ in range(3):
            began = process_time()
            extract_answer(text, OPEN)
            extract_answer(f"\\boxed{{{text}}}", OPEN)
            best = min(best, process_time() - began)
        return best

    assert seconds(400_000) < 24 * seconds(50_000) + 0.05


def test_a_tower_of_powers_costs_nothing() -> None:
    assert extract_answer(r"\boxed{9^{9^{9^{9}}}}", OPEN) is None
    assert extract_answer(r"\boxed{" + "9" * 5000 + "}", OPEN) is None


def test_extraction_works_in_any_thread() -> None:
    found: list[int | None] = []
    threads = [threading.Thread(target=lambda: found.append(extract_answer(r"\boxed{17}", OPEN))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [17] * 8


def test_the_last_complete_box_wins_over_an_unclosed_one_around_it() -> None:
    assert last_boxed(r"\boxed{a \boxed{7}") == "7"
    assert last_boxed(r"\boxed{a \{ b}") == r"a \{ b"
