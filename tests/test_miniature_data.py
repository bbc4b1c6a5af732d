"""What the miniature is trained on, and that nothing of it is what the miniature is measured on."""

import csv
import io
import json
import re
import string
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import get_args

import pytest

from merge.journals import right_attempts
from merge.miniature.data import OFTEN, Mixture, draw_samples, mixed_samples, write_evaluation
from merge.miniature.family import FAMILIES, Area
from merge.miniature.gsm8k import as_program, read_gsm8k
from merge.samples import Sample, read_samples, tokenize, write_samples
from solver.chat import build_chat
from solver.chat.tokenizer import ByteTokenizer
from solver.config import load_config
from solver.errors import UsageError
from solver.types import Problem

ROOT = Path(__file__).parent.parent
PROBLEM_SETS = [ROOT / "examples/problems.csv", *sorted((ROOT.parent / "shared/problems").glob("*.csv"))]
SAMPLES = 300

GSM8K = """\
{"question": "3 bags of 4 nuts, 2 eaten.", "answer": "3*4=<<3*4=12>>12 nuts.\\n12-2=<<12-2=10>>10 left.\\n#### 10"}
{"question": "What is half of five?", "answer": "Half of 5 is 5/2=<<5/2=2.5>>2.5.\\n#### 2.5"}
{"question": "No marks here: 1 and 1?", "answer": "It is two.\\n#### 2"}
"""


def normalised(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def texts_of(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row.get("problem") or row["question"]


def as_pattern(phrasing: str) -> re.Pattern[str]:
    parts = [
        re.escape(text) + (".+" if field is not None else "")
        for text, field, _, _ in string.Formatter().parse(phrasing)
    ]
    return re.compile("".join(parts), re.DOTALL)


def run(program: str) -> str:
    with redirect_stdout(io.StringIO()) as output:
        exec(program, {})
    return output.getvalue()


@lru_cache
def trained_texts() -> set[str]:
    return {normalised(it.problem) for mode in ("cot", "tir") for it in islice(draw_samples(mode, 0), SAMPLES)}


@pytest.mark.parametrize("path", PROBLEM_SETS, ids=lambda path: path.stem)
def test_no_problem_of_an_evaluation_set_is_a_training_sample(path: Path) -> None:
    evaluated = {normalised(text) for text in texts_of(path)}
    assert not evaluated & trained_texts()
    if (gsm8k := ROOT.parent / "shared/train/gsm8k_train.jsonl").is_file():
        assert not evaluated & {normalised(cot.problem) for cot, _ in read_gsm8k(gsm8k)}


def test_there_are_families_of_every_area_and_many_are_held_out_whole() -> None:
    assert len(FAMILIES) >= 60
    assert sum(family.held_out for family in FAMILIES.values()) >= 12
    assert {family.area for family in FAMILIES.values() if not family.held_out} == set(get_args(Area))


def test_no_example_is_of_a_trained_phrasing() -> None:
    trained = {phrasing: as_pattern(phrasing) for family in FAMILIES.values() for phrasing in family.trained_phrasings}
    for text in texts_of(ROOT / "examples/problems.csv"):
        assert [phrasing for phrasing, pattern in trained.items() if pattern.fullmatch(text)] == []


def test_training_samples_come_from_no_held_out_family_and_no_held_out_phrasing() -> None:
    held_out = [as_pattern(it.held_out_phrasing) for it in FAMILIES.values()]
    held_out += [as_pattern(text) for it in FAMILIES.values() if it.held_out for text in it.phrasings]
    for sample in islice(draw_samples("tir", 1), SAMPLES):
        assert not any(pattern.fullmatch(sample.problem) for pattern in held_out), sample.problem


@pytest.mark.parametrize("held", ["instances", "phrasings", "families"])
def test_an_evaluation_set_has_each_problem_once_and_the_families_in_turn(held: str, tmp_path: Path) -> None:
    write_evaluation(tmp_path / "set.csv", held, 100, seed=1)  # type: ignore[arg-type]
    with (tmp_path / "set.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["problem"] for row in rows}) == len({row["id"] for row in rows}) == 100
    names = {row["id"].rpartition("-")[0] for row in rows}
    assert all(FAMILIES[name].held_out == (held == "families") for name in names)


@pytest.mark.parametrize("seed", [0, 1])
def test_instances_are_of_texts_that_no_training_draws_even_of_a_family_with_few_numbers(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "no-two-neighbours"
    monkeypatch.setattr("merge.miniature.data.FAMILIES", {name: FAMILIES[name]})
    monkeypatch.setattr("merge.miniature.data.OFTEN", set())
    write_evaluation(tmp_path / "set.csv", "instances", 10, seed)
    instances = {normalised(text) for text in texts_of(tmp_path / "set.csv")}
    drawn = {normalised(it.problem) for it in islice(draw_samples("tir", seed), 3000)}
    assert len(instances) == 10
    assert len(drawn) > 100
    assert not instances & drawn


def test_gsm8k_becomes_a_program_where_its_marks_give_the_answer(tmp_path: Path) -> None:
    (tmp_path / "gsm.jsonl").write_text(GSM8K, "utf-8")
    pairs = list(read_gsm8k(tmp_path / "gsm.jsonl"))
    assert [cot.answer for cot, _ in pairs] == [10, 2]
    assert [tir is None for _, tir in pairs] == [False, True]
    assert "<<" not in pairs[0][0].turns[0]
    assert (
        run(as_program("Ann has 3 bags of 4 nuts and eats 2.", "3*4=<<3*4=12>>12\n<<12-2=10>>10", 10) or "") == "10\n"
    )


def test_a_number_of_the_problem_is_not_taken_for_an_earlier_result() -> None:
    program = as_program("3 of 12 nuts, 4 bags", "<<3*4=12>>12\n<<12*2=24>>24", 24)
    assert program == "x1 = 3*4\nx2 = 12*2\nprint(round(x2))"


@pytest.mark.parametrize("worked", ["<<__import__('os')=1>>1", "<<2**=2>>2", "<<1/0=1>>1", "no mark", "<<9**9=1>>1"])
def test_marks_that_are_no_arithmetic_give_no_program(worked: str) -> None:
    assert as_program("", worked, 1) is None


def test_a_sample_becomes_the_tokens_that_a_run_would_have_seen() -> None:
    tokenizer = ByteTokenizer()
    chat = build_chat(load_config("miniature").chat, tokenizer)
    sample = Sample.of_program("What is 2+3?", "print(2 + 3)", 5)
    tokens = tokenize(sample, chat, tokenizer)
    own = [i for i, is_own in zip(tokens.token_ids, tokens.is_own, strict=True) if is_own]
    assert tokenizer.decode(own) == "<tool_call>\nprint(2 + 3)\n</tool_call>\nThe answer is \\boxed{5}.<|im_end|>"
    text = tokenizer.decode(tokens.token_ids)
    assert "</tool_call>\n```output\n5\n```\n\nThe answer" in text
    assert chat.code_call(tokenizer.encode(sample.turns[0])) == "print(2 + 3)"


def test_a_sample_cut_at_its_call_learns_no_end() -> None:
    tokenizer = ByteTokenizer()
    chat = build_chat(load_config("miniature").chat, tokenizer)
    whole = Sample.of_program("What is 2+3?", "print(2 + 3)", 5)
    tokens = tokenize(whole.cut_at_call(), chat, tokenizer)
    own = [i for i, is_own in zip(tokens.token_ids, tokens.is_own, strict=True) if is_own]
    assert tokenizer.decode(own) == "<tool_call>\nprint(2 + 3)\n</tool_call>"
    assert tokens.token_ids == tokenize(whole, chat, tokenizer).token_ids[: len(tokens)]


def test_every_trained_family_is_drawn_and_what_the_examples_ask_about_more_often() -> None:
    problems = [sample.problem for sample in islice(draw_samples("tir", 3), 2 * SAMPLES)]
    trained = {name: it for name, it in FAMILIES.items() if not it.held_out}
    assert set(trained) >= OFTEN
    drawn = {name: [as_pattern(text) for text in it.trained_phrasings] for name, it in trained.items()}
    counts = {name: sum(any(p.fullmatch(it) for p in drawn[name]) for it in problems) for name in trained}
    assert min(counts.values()) > 0
    assert min(counts[name] for name in OFTEN) > min(counts.values())


def test_right_attempts_of_a_journal_become_samples_and_others_do_not(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer()
    chat = build_chat(load_config("miniature").chat, tokenizer)
    sample = Sample.of_program("What is 2+3?", "print(2 + 3)", 5)
    output = {"status": "ok", "output": "5", "seconds": 0.1, "state_kept": True}
    text = tokenizer.decode(
        tokenize(sample, chat, tokenizer).token_ids[len(chat.prompt(Problem("p", sample.problem), "tir")) :]
    )
    right = {"kind": "attempt", "problem_id": "p", "mode": "tir", "answer": 5, "text": text, "num_tokens": 9}
    right |= {"executions": [output], "forced": False}
    lines = [right, right, right | {"answer": 6}, right | {"forced": True}, right | {"text": "5"}]
    lines += [{"kind": "prediction", "problem_id": "p", "problem": "What is 2+3?", "reference": 5}]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "att', "utf-8")
    assert list(right_attempts(path, chat, tokenizer, per_problem=4)) == [sample]


def test_samples_that_cannot_be_drawn_leave_an_earlier_file_as_it_was(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield Sample.of_program("What is 2+3?", "print(2 + 3)", 5)
        raise UsageError("no such journal")

    (tmp_path / "s.jsonl").write_text("earlier", "utf-8")
    with pytest.raises(UsageError):
        write_samples(tmp_path / "s.jsonl", broken())
    assert (tmp_path / "s.jsonl").read_text("utf-8") == "earlier"


def test_samples_survive_their_file_and_a_bad_line_is_named(tmp_path: Path) -> None:
    samples = mixed_samples("cot", 20, 0, Mixture(gsm8k_share=0.5))
    write_samples(tmp_path / "s.jsonl", samples)
    assert list(read_samples(tmp_path / "s.jsonl")) == samples
    with (tmp_path / "s.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"problem": "?"}\n')
    with pytest.raises(UsageError, match="line 21"):
        list(read_samples(tmp_path / "s.jsonl"))
