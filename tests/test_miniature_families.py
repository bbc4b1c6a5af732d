"""The generator of the miniature's problems: every answer is confirmed by every program and by the worked text."""

import contextlib
import csv
import io
import re
import string
from functools import cache
from pathlib import Path
from random import Random

import pytest

import merge.miniature.families
from merge.miniature.family import ANSWER_MAX, FAMILIES, Case, more_phrasings

PHRASINGS = Path(merge.miniature.__file__).parent / "phrasings"
INSTANCES = 5


@cache
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


def test_the_files_of_phrasings_name_trained_families_of_their_module() -> None:
    files = sorted(PHRASINGS.glob("*.toml"))
    assert files
    for file in files:
        modules = {name: family.draw.__module__.rpartition(".")[2] for name, family in FAMILIES.items()}
        for name, phrasings in more_phrasings(file.stem).items():
            assert modules[name] == file.stem
            assert not FAMILIES[name].held_out
            assert set(phrasings) <= set(FAMILIES[name].trained_phrasings)


def test_a_held_out_phrasing_is_of_no_trained_shape() -> None:
    for family in FAMILIES.values():
        for case in cases(family.name):
            trained = {shape(phrasing.format_map(case.values)) for phrasing in family.trained_phrasings}
            assert shape(family.held_out_phrasing.format_map(case.values)) not in trained


def test_the_same_seed_draws_the_same_case() -> None:
    for name in FAMILIES:
        assert cases.__wrapped__(name) == cases(name)


def shape(text: str) -> str:
    """A problem without its numbers and its punctuation: two of one shape differ in numbers alone."""
    return " ".join(re.findall(r"#|[a-z]+", re.sub(r"\d+", "#", text.lower())))


EXAMPLES = Path(__file__).parent.parent / "examples" / "problems.csv"


def test_no_phrasing_is_that_of_an_example_problem() -> None:
    with EXAMPLES.open(encoding="utf-8") as file:
        examples = {shape(row["problem"]) for row in csv.DictReader(file)}
    assert len(examples) >= 20
    for family in FAMILIES.values():
        for case in cases(family.name):
            assert not examples & {shape(phrasing.format_map(case.values)) for phrasing in family.phrasings}


def test_no_two_families_share_a_phrasing() -> None:
    seen: dict[str, str] = {}
    for family in FAMILIES.values():
        values = cases(family.name)[0].values
        for phrasing in family.phrasings:
            text = shape(phrasing.format_map(values))
            assert seen.setdefault(text, family.name) == family.name


def test_no_draw_fails_and_every_answer_fits() -> None:
    for family in FAMILIES.values():
        for k in range(60):
            assert 0 <= family.draw(Random(k)).answer <= ANSWER_MAX, family.name


def test_answers_reach_from_nought_to_five_digits() -> None:
    answers = [family.draw(Random(k)).answer for family in FAMILIES.values() for k in range(20)]
    assert {0, 1} <= set(answers)
    assert sum(answer >= 10_000 for answer in answers) > len(answers) // 100
