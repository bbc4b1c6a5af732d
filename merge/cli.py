"""`python -m merge`: parses, calls the library, sets the exit code. Tables and findings to standard output, progress to
standard error. Exit codes: 0 done; 1 an error, told in one line; 2 usage; 130 interrupted; 143 ended by SIGTERM."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from solver.entry import run_commands, unwind_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from merge.subject import Check

app = typer.Typer(
    name="merge",
    help="From CoT and TIR parents to one verified, quantized checkpoint.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Scheme(StrEnum):
    FP8 = "fp8"
    W8A8 = "w8a8"
    NVFP4 = "nvfp4"
    W4A16 = "w4a16"


class Mode(StrEnum):
    COT = "cot"
    TIR = "tir"


class Held(StrEnum):
    INSTANCES = "instances"
    PHRASINGS = "phrasings"
    FAMILIES = "families"


class By(StrEnum):
    MAJ = "maj"
    PASS1 = "pass1"


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="YAML as mergekit takes it; merge/recipes has examples.")],
    output: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    shard_size: Annotated[str, typer.Option(help="Bytes of one output file; mergekit buffers one in memory.")] = "1GB",
    seed: Annotated[int, typer.Option(help="Of methods that draw at random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N: where the arithmetic runs.")] = "cpu",
    quick: Annotated[bool, typer.Option("--quick", help="Verify without loading the result.")] = False,
) -> None:
    """Merge parents by a recipe, verify the result, and write it in one step.

    Example: python -m merge run merge/recipes/cot-tir-linear.yml merged
    """
    from merge.run import RunOptions, parse_bytes
    from merge.run import run as run_merge

    options = RunOptions(parse_bytes(shard_size), seed, device, "weights" if quick else "full")
    _show(run_merge(recipe, output, options))
    print(f"wrote {output}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Any checkpoint folder.")],
    every_tensor: Annotated[bool, typer.Option("--all", help="Recompute every element of every tensor.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not load it; needs no torch.")] = False,
) -> None:
    """Check a checkpoint; with provenance.json beside it, against its parents too. Exit code 1 where a check fails, or
    where --all has no parents to recompute from."""
    from merge.verify import verify as verify_checkpoint

    if every_tensor and quick:
        raise typer.BadParameter("--all and --quick: give one of them")
    checks = verify_checkpoint(folder, "all" if every_tensor else "weights" if quick else "full")
    _show(checks)
    sys.exit(1 if any(check.status == "failed" for check in checks) else 0)


@app.command()
def sweep(
    recipe: Annotated[Path, typer.Argument(help="A recipe of two models.")],
    problems: Annotated[Path, typer.Option(help="CSV or Parquet with id, problem and answer.")],
    weights: Annotated[
        str, typer.Option(metavar="A:B:STEP", help="The last model's share, or a list 0,0.3,1.")
    ] = "0:1:0.1",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of results; a second run goes on there.")
    ] = Path("sweep"),
    attempts: Annotated[int, typer.Option(min=1, help="k of maj@k and pass@k.")] = 16,
    seed: Annotated[int, typer.Option(help="Of every run.")] = 0,
    preset: Annotated[str | None, typer.Option(help="The solver's preset.")] = None,
    engine: Annotated[str | None, typer.Option(help="The solver's engine.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any of the solver's settings.")
    ] = None,
    by: Annotated[By, typer.Option(help="What decides: maj@k, or pass@1 where maj@k is near 100.")] = By.MAJ,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep every merged checkpoint, not only the one in work.")
    ] = False,
) -> None:
    """Merge, evaluate with the solver, delete, next weight; then a table, a plot and the weight to take.

    Example: python -m merge sweep cot-tir.yml --weights 0:1:0.1 --problems heldout.csv -o sweep
    """
    from merge.sweep import SweepOptions, parse_weights
    from merge.sweep import sweep as run_sweep

    options = SweepOptions(attempts, seed, preset, engine, tuple(settings or ()), by.value, keep)
    print(run_sweep(recipe, parse_weights(weights), problems, output, options), end="")


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint folder.")],
    problems: Annotated[
        list[Path], typer.Argument(help="CSV or Parquet with id, problem and answer; several in turn.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of journals; a second run goes on there.")
    ] = Path("evaluation"),
    attempts: Annotated[int, typer.Option(min=1, help="k of maj@k and pass@k.")] = 16,
    seed: Annotated[int, typer.Option(help="Of every run.")] = 0,
    preset: Annotated[str | None, typer.Option(help="The solver's preset.")] = None,
    engine: Annotated[str | None, typer.Option(help="The solver's engine.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any of the solver's settings.")
    ] = None,
) -> None:
    """Measure one checkpoint on files of problems: every attempt runs to its end; a table with intervals.

    Example: python -m merge evaluate CHECKPOINT heldout.csv --attempts 16 -o evaluation
    """
    from merge.evaluate import EvaluateOptions, evaluate_files

    options = EvaluateOptions(attempts, seed, preset, engine, tuple(settings or ()))
    print(evaluate_files(model, problems, output, options), end="")


@app.command()
def quantize(
    source: Annotated[Path, typer.Argument(help="A checkpoint in bfloat16, float16 or float32.")],
    output: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    scheme: Annotated[Scheme, typer.Option(help="fp8: Hopper, Ada. w8a8: any. nvfp4: Blackwell.")] = Scheme.FP8,
    calibration: Annotated[
        Path | None, typer.Option(help="JSON Lines with `text`, for nvfp4: texts like those it will write.")
    ] = None,
    make_environment: Annotated[
        bool, typer.Option("--make-environment", help="Install llm-compressor beside this environment first.")
    ] = False,
    problems: Annotated[Path | None, typer.Option(help="Solve these before and after, and compare.")] = None,
    attempts: Annotated[int, typer.Option(min=1, help="k of the comparison.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the comparison.")] = 0,
    preset: Annotated[str | None, typer.Option(help="The solver's preset, for the comparison.")] = None,
    engine: Annotated[str | None, typer.Option(help="The solver's engine, for the comparison.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Any of the solver's settings, for the comparison."),
    ] = None,
) -> None:
    """Quantize a checkpoint with llm-compressor, in an environment of its own, and verify the result.

    Example: python -m merge quantize merged merged-fp8
    """
    from merge.evaluate import EvaluateOptions
    from merge.quantize import QuantizeOptions
    from merge.quantize import quantize as run_quantize

    evaluation = EvaluateOptions(attempts, seed, preset, engine, tuple(settings or ()))
    options = QuantizeOptions(scheme.value, calibration, make_environment, problems, evaluation)
    checks, comparison = run_quantize(source, output, options)
    _show(checks)
    print(f"wrote {output}")
    print(comparison, end="")


@app.command()
def miniature(
    output: Annotated[Path, typer.Argument(help="Where it goes; nothing is done if it is there.")],
) -> None:
    """Build the embedded default model from its base and its adapters; the solver does this on first use."""
    from merge.miniature.build import build

    _show(build(output))


@app.command()
def train(
    samples: Annotated[Path, typer.Argument(help="JSON Lines, as `merge samples` writes them.")],
    output: Annotated[
        Path, typer.Argument(help="Folder of the adapter (or model); replaced if this training wrote it.")
    ],
    base: Annotated[Path | None, typer.Option(help="Model folder; without it the embedded base.")] = None,
    start: Annotated[
        list[Path] | None, typer.Option(help="An adapter to go on from; several: from the mean of their factors.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Whose chat format the samples are written in.")] = "miniature",
    rank: Annotated[int, typer.Option(min=0, help="LoRA's rank, that of --start's; 0 trains the whole model.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="After the warm-up.")] = 1e-3,
    tokens_per_batch: Annotated[int, typer.Option(min=1, help="Padding included.")] = 1024,
    max_length: Annotated[int, typer.Option(min=1, help="Longer samples are left out.")] = 512,
    decay_steps: Annotated[int, typer.Option(min=0, help="The last steps, over which the rate falls to zero.")] = 50,
    max_steps: Annotated[int, typer.Option(min=0, help="0: once through the samples.")] = 0,
    sequential: Annotated[bool, typer.Option("--sequential", help="Short samples first, stage by stage.")] = False,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="From one checkpoint to the next.")] = 300.0,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Fine-tune a CoT or TIR parent (LoRA or full).

    If it is killed, the same command goes on from OUTPUT.checkpoint.pt. That file stays when the training is done: with
    more --max-steps the same command prolongs it (best after --decay-steps 0). Delete it when you need neither.
    A second command into the same output waits for the first, and goes on from its checkpoint.
    An output or checkpoint of another training is neither replaced nor gone on from, and the command ends at once: all
    but --max-steps, --decay-steps and --checkpoint-seconds has to be the same, samples, --base and --start too.

    Example: python -m merge train tir.jsonl adapters/tir
    """
    from merge.train import train as run_train
    from merge.train_config import TrainConfig
    from solver.model import convert, embedded_folder

    folder = base or embedded_folder()
    if base is None:
        convert(folder)
    run_train(
        TrainConfig(
            *(str(folder), str(samples), str(output), preset, tuple(map(str, start or ()))),
            *(rank, learning_rate, tokens_per_batch),
            max_length=max_length,
            decay_steps=decay_steps,
            max_steps=max_steps,
            order="sequential" if sequential else "mixed",
            checkpoint_seconds=checkpoint_seconds,
            seed=seed,
        )
    )


@app.command()
def samples(
    mode: Annotated[Mode, typer.Argument(help="cot: worked text. tir: programs.")],
    output: Annotated[Path, typer.Argument(help="JSON Lines.")],
    number: Annotated[int, typer.Option(min=1, help="Of generated problems, sketches and GSM8K together.")] = 1000,
    gsm8k: Annotated[Path | None, typer.Option(help="GSM8K's train.jsonl, if it is to be mixed in.")] = None,
    gsm8k_share: Annotated[float, typer.Option(min=0, max=1)] = 0.2,
    sketch_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of the sketches, far more kinds of problems in short form; tir alone."),
    ] = 0.0,
    often: Annotated[
        int, typer.Option(min=1, help="Times that a round goes through the families examples/problems.csv asks about.")
    ] = 3,
    hardness: Annotated[
        Path | None, typer.Option(help="From `merge hardness`: draw what is known seldom, and first programs only.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="A journal instead: its attempts that were right, of both modes.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The folder whose tokenizer the journal's run had.")] = None,
    per_problem: Annotated[int, typer.Option(min=1, help="Of one problem, mode and effort of a journal.")] = 4,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Write training samples: of the miniature's families, sketches and GSM8K, or of a journal's right attempts."""
    from merge.samples import write_samples

    if journal is not None:
        from merge.journals import samples_of_journal

        written = write_samples(output, samples_of_journal(journal, model, per_problem))
    else:
        from merge.miniature.data import Mixture, mixed_samples
        from merge.miniature.hardness import read_nats

        nats = read_nats(hardness) if hardness else None
        mixture = Mixture(gsm8k, gsm8k_share, sketch_share, often, nats)
        written = write_samples(output, mixed_samples(mode.value, number, seed, mixture))
    print(f"wrote {written} samples to {output}")


@app.command()
def hardness(
    output: Annotated[Path, typer.Argument(help="JSON: of each trained phrasing, -ln of its program's probability.")],
    start: Annotated[
        list[Path], typer.Option(help="An adapter over the embedded base; several: the mean of their factors.")
    ],
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Measure how hard the miniature's trained phrasings still are, for `merge samples --hardness`.

    Example: python -m merge hardness hardness.json --start adapters/tir --start adapters/cot
    """
    import json

    from merge.miniature.hardness import measure
    from merge.train_config import TrainConfig
    from solver.model import convert, embedded_folder

    convert(embedded_folder())
    starts = tuple(map(str, start))
    nats = measure(TrainConfig(str(embedded_folder()), "", str(output), start=starts, seed=seed))
    output.write_text(json.dumps(nats) + "\n", "utf-8")


@app.command()
def problems(
    held: Annotated[Held, typer.Argument(help="What no training sample shares with them.")],
    output: Annotated[Path, typer.Argument(help="CSV with id, problem and answer, for `solver solve`.")],
    number: Annotated[
        int, typer.Option(min=1, help="Families come in turn, by name: few problems are of the first names alone.")
    ] = 300,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Write generated problems to measure on: fresh instances, held-out phrasings, or held-out families."""
    from merge.miniature.data import write_evaluation

    write_evaluation(output, held.value, number, seed)
    print(f"wrote {number} problems to {output}")


def _show(checks: "Iterable[Check]") -> None:
    for check in checks:
        print(f"{check.status:8} {check.name}: {check.text}")


def main() -> NoReturn:
    unwind_on_sigterm()
    run_commands(app, interrupted="interrupted: nothing half done is left")
