"""The generator of the miniature's problems: every answer is confirmed by every program and by the worked text."""

import contextlib
import io
import string
from random import Random

import pytest

import merge.miniature.families  # noqa: F401  (registers them)
from merge.miniature.family import ANSWER_MAX, FAMILIES, Case

INSTANCES = 5


def cases(name: str) -> list[Case]:
    return [FAMILIES[name].draw(Random(f"{name} {k}")) for k in range(INSTANCES)]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_program_prints_the_answer_and_nothing_else(name: str) -> None:
    for case in cases(name):
        assert type(case.answer) is int
        assert 0 <= case.answer <= ANSWER_MAX
        assert 1 <= len(case.programs) <= 3
        for program in case.programs:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(program, {})
            assert output.getvalue() == f"{case.answer}\n", program


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_worked_text_ends_at_the_answer(name: str) -> None:
    for case in cases(name):
        assert str(case.answer) in case.solution.rstrip(".").split()[-1].replace(",", "").strip("$")
        assert len(case.solution) < 700


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_phrasing_names_what_the_problem_needs(name: str) -> None:
    family = FAMILIES[name]
    for case in cases(name):
        texts = [phrasing.format_map(case.values) for phrasing in family.phrasings]
        assert len(set(texts)) == len(texts)
    for phrasing in family.phrasings:
        fields = {field for _, field, _, _ in string.Formatter().parse(phrasing) if field is not None}
        assert fields <= set(cases(name)[0].values)


def test_the_same_seed_draws_the_same_case() -> None:
    for name in FAMILIES:
        assert cases(name) == cases(name)
