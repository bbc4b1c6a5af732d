"""Kinds of problems in short form: every answer is confirmed by every program, and none is of what is measured on."""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import get_args

import pytest

import merge.miniature.sketch
from merge.miniature.data import Mixture, draw_sketched, is_held_out, mixed_samples
from merge.miniature.family import FAMILIES, Area
from merge.miniature.sketch import Sketch, fill, parse_sketches, sketches, without_strange_comments
from solver.errors import UsageError
from tests.test_miniature_data import GSM8K, PROBLEM_SETS, as_pattern, normalised, texts_of

FILES = sorted((Path(merge.miniature.sketch.__file__).parent / "sketches").glob("*.toml"))
INSTANCES = 2
SHORT = """
[halves]
area = 'algebra'
draw = "n = randint(1, 9)"
require = "n % 2 == 0"
check = "answer = sum(k + k < n for k in range(n))"
phrasings = ['Half of <n>, not <m>?']
programs = ['print(<n> // 2)']
"""


@cache
def of_file(path: Path) -> list[Sketch]:
    return list(parse_sketches(path.read_text("utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_program_of_a_sketch_prints_the_answer_and_nothing_else(path: Path) -> None:
    wrong = []
    for sketch in of_file(path):
        for k in range(INSTANCES):
            values, answer = sketch.instance(Random(f"{sketch.name} {k}"))
            first = fill(sketch.programs[0], values)
            trained = {without_strange_comments(first, fill(it, values)) for it in sketch.phrasings}
            for program in {*sketch.programs, *trained}:
                with contextlib.redirect_stdout(io.StringIO()) as output:
                    exec(fill(program, values), {})
                if output.getvalue() != f"{answer}\n":
                    wrong.append((sketch.name, answer, output.getvalue()))
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sketch_is_worded_in_several_ways_that_name_what_it_draws(path: Path) -> None:
    for sketch in of_file(path):
        values, _ = sketch.instance(Random(sketch.name))
        texts = [fill(phrasing, values) for phrasing in sketch.phrasings]
        assert sketch.area in get_args(Area)
        assert len(set(texts)) == len(texts) >= 3, sketch.name
        for text in (*sketch.phrasings, *sketch.programs):
            places = set(re.findall(r"<([a-z]\w*)>", text))
            assert places <= set(values), (sketch.name, places - set(values))


def test_sketches_are_many_with_one_name_each_and_none_that_a_family_has() -> None:
    names = Counter(sketch.name for sketch in sketches())
    assert len(sketches()) == sum(len(of_file(path)) for path in FILES) > 1000
    assert [name for name, count in names.items() if count > 1] == []
    assert not set(names) & set(FAMILIES)


def test_no_example_and_no_held_out_family_is_worded_like_a_sketch() -> None:
    patterns = [
        re.compile(".+".join(map(re.escape, re.split(r"<[a-z]\w*>", phrasing))), re.DOTALL)
        for sketch in sketches()
        for phrasing in sketch.phrasings
    ]
    held_out = [family for family in FAMILIES.values() if family.held_out]
    measured = [text for path in PROBLEM_SETS[:1] for text in texts_of(path)]
    measured += [text.format_map(it.draw(Random(0)).values) for it in held_out for text in it.phrasings]
    assert [text for text in measured if any(pattern.fullmatch(text) for pattern in patterns)] == []


def test_no_problem_of_an_evaluation_set_or_of_a_held_out_wording_is_drawn_of_a_sketch() -> None:
    drawn = {sample.problem for sample in islice(draw_sketched(0), 2 * len(sketches()))}
    measured = {normalised(text) for path in PROBLEM_SETS for text in texts_of(path)}
    assert not {normalised(text) for text in drawn} & measured
    assert [text for text in drawn if is_held_out(text)] == []
    held_out = [as_pattern(family.held_out_phrasing) for family in FAMILIES.values()]
    assert [text for text in drawn if any(pattern.fullmatch(text) for pattern in held_out)] == []


def test_a_sketch_draws_again_until_it_fits_and_leaves_other_angle_brackets() -> None:
    (sketch,) = parse_sketches(SHORT)
    for seed in range(20):
        values, answer = sketch.instance(Random(seed))
        assert values["n"] == 2 * answer
    assert fill(sketch.phrasings[0], values) == f"Half of {values['n']}, not <m>?"


def test_comments_of_another_story_are_left_out() -> None:
    program = "# cakes that Mia sells\nx1 = 9 - 2\n# dollars\nx2 = x1 * 3\nprint(x2)"
    assert without_strange_comments(program, "Mia keeps 2 of 9 cakes and sells the others at 3 dollars.") == program
    assert "Mia" not in without_strange_comments(program, "Max keeps 2 of 9 cakes and sells the others at 3 dollars.")
    nested = "for x in [1]:\n    # sheep\n    print(x)"
    assert without_strange_comments(nested, "One.") == "for x in [1]:\n    print(x)"
    assert without_strange_comments(program, "Of 9 lambs 2 die.") == "x1 = 9 - 2\nx2 = x1 * 3\nprint(x2)"


@pytest.mark.parametrize("change", ["n % 2 == 3", "answer < 0"])
def test_a_sketch_that_no_draw_fits_is_an_error(change: str) -> None:
    (sketch,) = parse_sketches(SHORT.replace("n % 2 == 0", change))
    with pytest.raises(ValueError, match="halves"):
        sketch.instance(Random(0))


def test_a_mixture_has_its_share_of_sketches_in_programs_alone() -> None:
    mixture = Mixture(sketch_share=0.5)
    of_sketches = {it.problem for it in islice(draw_sketched(3), 20)}
    assert sum(it.problem in of_sketches for it in mixed_samples("tir", 40, 3, mixture)) == 20
    assert len(mixed_samples("tir", 7, 3, Mixture(sketch_share=1.0))) == 7
    with pytest.raises(UsageError, match="tir alone"):
        mixed_samples("cot", 40, 3, mixture)


def test_shares_of_more_than_the_whole_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gsm.jsonl").write_text(GSM8K, "utf-8")
    with pytest.raises(UsageError, match="more than 1"):
        mixed_samples("tir", 9, 0, Mixture(tmp_path / "gsm.jsonl", gsm8k_share=0.6, sketch_share=0.6))
    assert len(mixed_samples("tir", 7, 0, Mixture(tmp_path / "gsm.jsonl", gsm8k_share=0.5, sketch_share=0.5))) == 7


def test_the_same_seed_draws_the_same_sketches_in_every_process() -> None:
    code = """if True:
        from itertools import islice
        from merge.miniature.data import draw_sketched
        print(list(islice(draw_sketched(5), 30)))"""
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert drawn == {f"{list(islice(draw_sketched(5), 30))}\n"}
