"""The weights of a checkpoint computed a second time: by its recipe from its parents; quantized, against its source."""

from random import Random

from merge.arithmetic import Combine, combination, count_wrong
from merge.checkpoint import TensorInfo
from merge.checks import equal
from merge.parents import row_chunks, row_width
from merge.quantized import count_far, quantized_names
from merge.subject import Depth, Failed, Skipped, Subject, need_parents

SAMPLED_TENSORS = 16
SAMPLED_ELEMENTS = 1_000_000
"""Of each sampled tensor, in rows from its whole length."""


def recomputed(subject: Subject, depth: Depth) -> str:
    if depth == "all" and not subject.parents:
        raise Failed(f"nothing could be recomputed: {subject.lost}")
    need_parents(subject)
    if subject.recipe is None:
        return _requantized(subject)
    combine = combination(subject.recipe, subject.parents)
    if combine is None:
        raise Skipped(f"{subject.recipe.merge_method} is not recomputed here: it draws at random or has no one formula")
    names = _sample(subject, depth)
    wrong = [(name, bad, seen) for name in names for bad, seen in [_compare(subject, combine, name, depth)] if bad]
    if wrong:
        name, bad, seen = wrong[0]
        raise Failed(
            f"{len(wrong)} of {len(names)} tensors are not what the recipe gives ({name}: {bad:,} of {seen:,} elements "
            f"off by more than one rounding): this is another merge than the one that was asked for"
        )
    all_of_them = f"every element of {len(names)} tensors"
    how = all_of_them if depth == "all" else f"{len(names)} tensors, up to {SAMPLED_ELEMENTS:,} elements each"
    return f"{how}: within one rounding of the recipe in exact arithmetic"


def _sample(subject: Subject, depth: Depth) -> list[str]:
    """Tensors to recompute: embeddings, first and last always, the others at random, but the same ones each time."""
    names = [
        name
        for name, info in subject.checkpoint.tensors.items()
        if _is_the_parents(subject, name, info) and not (subject.resized and "embed" in name)
    ]
    if depth == "all" or len(names) <= SAMPLED_TENSORS:
        return names
    fixed = [names[0], names[-1], *(name for name in names if "embed" in name)]
    return list(dict.fromkeys([*fixed, *Random(0).sample(names, SAMPLED_TENSORS)]))[:SAMPLED_TENSORS]


def _is_the_parents(subject: Subject, name: str, info: TensorInfo) -> bool:
    """Whether there is what to compare with; `checks.tensors` tells of the others."""
    theirs = subject.parents[0].base.tensors.get(name)
    return theirs is not None and theirs.shape == info.shape


def _compare(subject: Subject, combine: Combine, name: str, depth: Depth) -> tuple[int, int]:
    """(elements off, elements seen)"""
    info = subject.checkpoint.tensors[name]
    chunks = list(row_chunks(info, 2**18))
    if depth != "all":
        chunks = chunks[:: max(1, len(chunks) // max(1, SAMPLED_ELEMENTS // 2**18))]
    wrong = seen = 0
    for start, stop in chunks:
        width = row_width(info)
        stored = info.floats(start * width, stop * width).reshape(-1, width)
        wrong += count_wrong(stored, combine(name, start, stop), info.dtype)
        seen += stored.size
    return wrong, seen


def _requantized(subject: Subject) -> str:
    source = subject.parents[0].base
    names = quantized_names(subject.checkpoint).keys() & source.tensors.keys()
    if not names:
        raise Skipped("neither a recipe nor quantized weights to compare with the parents")
    chosen = Random(0).sample(sorted(names), min(SAMPLED_TENSORS, len(names)))
    compared = 0
    for name in chosen:
        far = count_far(subject.checkpoint, source, name)
        if far is None:
            continue
        compared += 1
        if far:
            raise Failed(
                f"{name}: {far:,} weights are further from the source than one step of its scale: wrong scales"
            )
    for name, info in source.tensors.items():
        if (
            name not in names
            and name in subject.checkpoint.tensors
            and not equal(info, subject.checkpoint.tensors[name])
        ):
            raise Failed(f"{name} was not to be quantized and has changed")
    if not compared:
        raise Skipped("packed formats are not unpacked here")
    return f"{compared} tensors within one step of their scale; what is not quantized is unchanged"
