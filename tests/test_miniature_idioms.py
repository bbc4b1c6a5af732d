"""The shapes of program that the families share."""

import contextlib
import io

from hypothesis import given
from hypothesis import strategies as st

from merge.miniature.idioms import chance_loop, chance_of, nested_count, nested_count_expression, program


def printed(text: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(text, {})
    return output.getvalue()


def test_a_program_imports_the_names_that_it_calls_and_no_others() -> None:
    text = program("a = comb(5, 2)", "b = gcd(a, 4)", "print(a + b)")
    assert text.splitlines()[:2] == ["from math import comb", "from math import gcd"]
    assert text.count("import") == 2
    assert printed(text) == "12\n"


def test_a_word_that_only_contains_a_name_brings_no_import() -> None:
    assert "import" not in program("becomb = 3", "print(becomb)")


@given(st.integers(1, 9), st.integers(1, 9), st.integers(2, 6))
def test_the_loop_and_the_expression_count_the_same(n: int, m: int, d: int) -> None:
    loops = (f"a in range(1, {n} + 1)", f"b in range(1, {m} + 1)")
    where = f"a * b % {d} == 0"
    assert printed(nested_count(*loops, where=where)) == printed(nested_count_expression(*loops, where=where))


def test_a_chance_is_reduced_before_its_parts_are_added() -> None:
    assert printed(chance_loop("a in range(1, 7)", "b in range(1, 7)", where="a == b")) == "7\n"
    assert printed(chance_of("6", "36")) == "7\n"


def test_a_chance_of_zero_is_zero_over_one() -> None:
    assert printed(chance_loop("a in range(1, 7)", where="a > 6")) == "1\n"
