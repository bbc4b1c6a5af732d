"""The miniature's training and evaluation data: drawn from the families, and GSM8K's training split if at hand."""

import csv
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

import merge.miniature.families  # noqa: F401  (registers them)
from merge.miniature.family import FAMILIES, Case, Family
from merge.miniature.gsm8k import read_gsm8k
from merge.miniature.hardness import Nats, chance_to_draw
from merge.miniature.sketch import fill, sketches, without_strange_comments
from merge.samples import Sample
from solver.errors import UsageError
from solver.types import Mode

Held = Literal["instances", "phrasings", "families"]
"""What an evaluation set holds out: texts in trained wordings, wordings never trained, or whole families."""

OFTEN = {
    "area-plus-perimeter",
    "change-from-note",
    "common-divisor-of-powers",
    "digits-of-a-power",
    "divisors-of-a-factorial",
    "domino-strip",
    "greatest-prime-factor",
    "heads-and-legs",
    "mixed-team",
    "no-two-neighbours",
    "numbers-with-digit-sum",
    "palindrome-multiple",
    "power-remainder",
    "pump-and-drain",
    "recurrence-remainder",
    "sum-of-integer-roots",
    "sum-of-term-formula",
    "sum-of-two-dice",
    "three-remainders",
    "zeros-of-a-factorial",
}
"""Families of the kinds that examples/problems.csv asks about, in other words and numbers: what a user sees first."""

_HELD_OUT_ONE_IN = 8
_TRIES = 200  # draws for one that is held out; a family of few texts may have none
_CUT_SHARE = 0.75  # of the generated programs stand without the sentence that boxes what they print


def is_held_out(problem: str) -> bool:
    """Whether the text is one of the eighth, by a hash, that `draw_samples` leaves out and that instances are taken
    from: some families have so few numbers that what is drawn for the one would be drawn for the other."""
    normalised = re.sub(r"[^a-z0-9]+", " ", problem.lower()).strip()
    return zlib.crc32(normalised.encode()) % _HELD_OUT_ONE_IN == 0


def draw_samples(mode: Mode, seed: int, often: int = 3, nats: Nats | None = None) -> Iterator[Sample]:
    """Samples for ever: each round goes through all trained families in a new order, `often` times through some.

    Texts that are held out are left out. With `nats` (`hardness.py`) a drawn phrasing is taken with `chance_to_draw`,
    and the family's first program is the only one.
    """
    random = Random(f"train {mode} {seed}")
    while True:
        names = sorted(name for name, family in FAMILIES.items() if not family.held_out)
        names += (often - 1) * sorted(OFTEN)
        random.shuffle(names)
        for name in names:
            family = FAMILIES[name]
            case = family.draw(random)
            phrasing = random.randrange(len(family.trained_phrasings))
            if nats is not None:
                if random.random() > chance_to_draw(nats, name, phrasing):
                    continue
                case = replace(case, programs=case.programs[:1])
            sample = as_sample(case, family.trained_phrasings[phrasing], mode, random)
            if is_held_out(sample.problem):
                continue
            is_cut = mode == "tir" and random.random() < _CUT_SHARE
            yield sample.cut_at_call() if is_cut else sample


def as_sample(case: Case, phrasing: str, mode: Mode, random: Random) -> Sample:
    problem = phrasing.format_map(case.values)
    if mode == "tir":
        return Sample.of_program(problem, random.choice(case.programs), case.answer)
    return Sample(problem, "cot", (f"{case.solution}\nThe answer is \\boxed{{{case.answer}}}.",), case.answer)


def draw_sketched(seed: int) -> Iterator[Sample]:
    """TIR samples for ever, of all sketches in turn: their first program, without texts that are held out."""
    random = Random(f"sketches {seed}")
    while True:
        for sketch in random.sample(sketches(), len(sketches())):
            values, answer = sketch.instance(random)
            problem = fill(random.choice(sketch.phrasings), values)
            program = without_strange_comments(fill(sketch.programs[0], values), problem)
            sample = Sample.of_program(problem, program, answer)
            if not is_held_out(sample.problem):
                yield sample.cut_at_call() if random.random() < _CUT_SHARE else sample


@dataclass(frozen=True, slots=True)
class Mixture:
    """What samples are mixed of: GSM8K's and the sketches' shares, and the families for the rest."""

    gsm8k: Path | None = None
    gsm8k_share: float = 0.2
    sketch_share: float = 0.0
    """With tir alone: sketches have no worked texts."""
    often: int = 3
    nats: Nats | None = None


def mixed_samples(mode: Mode, number: int, seed: int, mixture: Mixture) -> list[Sample]:
    """`number` samples; no GSM8K problem comes twice before all came once.

    Raises UsageError where the shares do not fit each other or the mode.
    """
    if mixture.sketch_share and mode == "cot":
        raise UsageError("sketches have programs and no worked texts: give --sketch-share with tir alone")
    if mixture.sketch_share + mixture.gsm8k_share * (mixture.gsm8k is not None) > 1 + 1e-9:
        raise UsageError("--gsm8k-share and --sketch-share are together more than 1: lower one of them")
    random = Random(f"mix {mode} {seed}")
    others: list[Sample] = []
    if mixture.gsm8k is not None:
        pairs = list(read_gsm8k(mixture.gsm8k))
        others = [cot for cot, _ in pairs] if mode == "cot" else [tir for _, tir in pairs if tir]
        random.shuffle(others)
    num_others = round(number * mixture.gsm8k_share) if others else 0
    num_sketched = min(round(number * mixture.sketch_share), number - num_others)
    generated = draw_samples(mode, seed, mixture.often, mixture.nats)
    samples = list(islice(generated, number - num_others - num_sketched))
    samples += [others[k % len(others)] for k in range(num_others)]
    samples += islice(draw_sketched(seed), num_sketched)
    random.shuffle(samples)
    return samples


def write_evaluation(path: Path, held: Held, number: int, seed: int) -> None:
    """A problem file (id, problem, answer) for `solver solve`, families in turn; no problem comes twice."""
    random = Random(f"evaluation {held} {seed}")
    families = [it for _, it in sorted(FAMILIES.items()) if it.held_out == (held == "families")]
    rows: dict[str, tuple[str, int]] = {}
    while len(rows) < number:
        for family in families:
            drawn = (_problem(family, held, random) for _ in range(_TRIES))
            fit = ((text, answer) for text, answer in drawn if held != "instances" or is_held_out(text))
            for text, answer in islice(fit, 1):
                rows.setdefault(text, (f"{family.name}-{len(rows)}", answer))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "problem", "answer"])
        writer.writerows((name, text, answer) for text, (name, answer) in list(rows.items())[:number])


def _problem(family: Family, held: Held, random: Random) -> tuple[str, int]:
    case = family.draw(random)
    choices = {
        "instances": family.trained_phrasings,
        "phrasings": (family.held_out_phrasing,),
        "families": family.phrasings,
    }[held]
    return random.choice(choices).format_map(case.values), case.answer
