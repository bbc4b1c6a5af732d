"""The command line of the submission: parses, calls the library, sets the exit code.

Exit codes: 0 done, 1 an error or a failure found, 2 usage, 130 interrupted, 143 ended by SIGTERM.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from solver.entry import run_commands, unwind_on_sigterm
from solver.errors import UsageError

app = typer.Typer(
    name="submission",
    help="Build, check, rehearse and push a Kaggle submission, offline until the push.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command()
def bundle(
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder.")] = Path("bundle"),
    preset: Annotated[str, typer.Option(help="aimo-3-h100, aimo-2-4xl4, miniature or scripted.")] = "miniature",
    model: Annotated[str | None, typer.Option(help="A model folder, or 'embedded'.")] = None,
    model_source: Annotated[
        str | None, typer.Option(help="A model on Kaggle: owner/model/framework/variation/version.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Your name on Kaggle.")] = None,
    title: Annotated[str | None, typer.Option(help="The notebook's title; the slug follows from it.")] = None,
    image: Annotated[str | None, typer.Option(help="py311, py312, py313, or host for this Python.")] = None,
    wheels: Annotated[bool, typer.Option(help="Download the wheels into the bundle.")] = True,
) -> None:
    """Make the notebook, the wheels, the model's folder and their metadata.

    Example: python -m submission bundle --preset miniature --model embedded -o bundle
    """
    from submission.bundle import BundleOptions, left_out, make_bundle
    from submission.config import load_preset
    from submission.names import slugify

    settings: dict[str, Any] = {
        "kaggle.model_source": model_source,
        "kaggle.owner": owner,
        "kaggle.title": title,
        "kaggle.slug": slugify(title) if title else None,
        "wheels.image": image,
    }
    config = load_preset(preset, settings)
    folder = _model_folder(model)
    made = make_bundle(config, BundleOptions(output, folder, wheels))
    if folder is not None and (names := left_out(folder)):
        print(f"left out, since Kaggle's upload takes no sub-folders: {', '.join(names)}", file=sys.stderr)
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    print(f"wrote {made}: {size / 1e6:,.0f} MB")


@app.command()
def rehearse(
    bundle: Annotated[Path, typer.Argument(help="A folder made by `bundle`.")],
    problems: Annotated[Path, typer.Argument(help="CSV or Parquet with id, problem and answer.")],
    modes: Annotated[str, typer.Option(help="commit (visible test), rerun (scored run), or both.")] = "commit,rerun",
    layouts: Annotated[str, typer.Option(help="Mount layouts: old, m, new.")] = "old,m,new",
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many problems alone.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Scored runs in the first layout.")] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="In place of the contest's 5 hours, like 5h.  [default: 2m, and 20s a problem]")
    ] = None,
    call_limit: Annotated[str | None, typer.Option(help="Of one predict, like 30s.")] = None,
    fault: Annotated[str | None, typer.Option(help="Break something: hang@2, engine-crash@1, ...")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the problems, and of the solver.")] = 0,
    script: Annotated[bool, typer.Option("--script", help="A plain process in place of a notebook kernel.")] = False,
    here: Annotated[bool, typer.Option("--here", help="In this environment; the wheels are not used.")] = False,
    without_model: Annotated[
        bool, typer.Option("--without-model", help="Play texts in its place: needs neither weights nor GPU.")
    ] = False,
    kaggle_files: Annotated[Path | None, typer.Option(help="Where Kaggle's own kaggle_evaluation lies.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep the sessions' folders here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
) -> None:
    """Run a bundle as Kaggle would: commit and scored run, each mount layout, no network.

    Examples: python -m submission rehearse bundle problems.csv,
    python -m submission rehearse bundle problems.csv --without-model --fault engine-crash@2
    """
    from solver.config import parse_duration
    from solver.problem import check_writable
    from submission.faults import parse_fault
    from submission.rehearse import RehearsalOptions
    from submission.rehearse import rehearse as play

    if fault is not None:
        parse_fault(fault)
    try:
        seconds, call = (parse_duration(text) if text else None for text in (time_limit, call_limit))
    except ValueError as error:
        raise UsageError(str(error)) from None
    for option, value in (("--time-limit", seconds), ("--call-limit", call)):
        if value == 0:
            raise UsageError(f"{option} 0: must be more than nothing")
    options = RehearsalOptions(
        modes=_choices("commit,rerun" if modes == "both" else modes, ("commit", "rerun"), "--modes"),
        layouts=_choices(layouts, ("old", "m", "new"), "--layouts"),
        scored_runs=runs,
        num_problems=limit,
        time_limit_seconds=seconds,
        call_seconds=call,
        fault=fault,
        seed=seed,
        runner="script" if script else "notebook",
        clean=not here,
        without_model=without_model,
        kaggle_files=kaggle_files,
        keep=keep,
    )
    if report is not None:
        check_writable(report)
    outcome = play(bundle, problems, options, tell=lambda line: print(line, flush=True))
    print(f"stage: {outcome.stage}")
    for finding in outcome.findings:
        print(finding.line())
    if outcome.expected_score is not None:
        print(f"score of two runs (1, 1/2 or 0 a problem): {outcome.expected_score:g}/{outcome.best_score}")
    if report is not None:
        report.write_text(json.dumps(outcome.as_record(), indent=2) + "\n", "utf-8")
    print("rehearsal: ok" if outcome.ok else "rehearsal: failures found")
    sys.exit(0 if outcome.ok else 1)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A bundle's folder, or a submission (.parquet, .csv).")],
    competition: Annotated[str, typer.Option(help="Of a submission file.")] = "aimo-3",
    problems: Annotated[Path | None, typer.Option(help="The problems that the file should answer.")] = None,
) -> None:
    """Tell what Kaggle would refuse, or worse, would not.

    Example: python -m submission check bundle
    """
    from solver.competition import find_competition
    from solver.problem import read_problems
    from submission.check import check_bundle, check_submission

    if path.is_dir():
        findings = check_bundle(path)
    else:
        ids = [problem.id for problem in read_problems(problems)] if problems else None
        findings = check_submission(path, find_competition(competition), ids)
    for finding in findings:
        print(finding.line())
    failures = sum(finding.severity == "failure" for finding in findings)
    print(f"check: {failures} failures, {len(findings) - failures} warnings" if findings else "check: ok")
    sys.exit(1 if failures else 0)


@app.command()
def push(
    bundle: Annotated[Path, typer.Argument(help="A folder made by `bundle`.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    notes: Annotated[str, typer.Option(help="Of this version.")] = "made by olympiad-solver",
) -> None:
    """Upload wheels, model and notebook with Kaggle's own client. The push starts a run and takes GPU quota. A dry run
    asks for no token.

    Example: python -m submission push bundle --dry-run
    """
    from submission.push import push_bundle

    push_bundle(bundle, notes, dry_run=dry_run, tell=lambda line: print(line, flush=True))


def _model_folder(model: str | None) -> Path | None:
    if model != "embedded":
        return Path(model) if model else None
    import asyncio

    from solver.model import find_model

    return asyncio.run(find_model(None))


def _choices(text: str, known: tuple[str, ...], option: str) -> Any:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    if not chosen or not set(chosen) <= set(known):
        raise UsageError(f"{option} {text}: there is {', '.join(known)}")
    return chosen


def main() -> NoReturn:
    unwind_on_sigterm()
    run_commands(app, interrupted="interrupted", extra="kaggle")
