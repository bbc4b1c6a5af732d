"""The command line: parses, calls the library, sets the exit code. Data to standard output or files, the rest to
standard error. Nothing heavy is imported before a command needs it.

Exit codes: 0 done; 1 an error, told in one line; 2 usage; 130 interrupted.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from solver.entry import run_commands
from solver.errors import UsageError

app = typer.Typer(
    name="solver",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from solver import __version__

        print(f"olympiad-solver {__version__}")
        raise typer.Exit


@app.callback()
def start(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Solve answer-only mathematics contests offline: many attempts, their Python, a vote, a clock.

    Examples: python -m solver solve examples/problems.csv --report run.html,
    python -m solver show submission.journal.jsonl --wrong, python -m solver doctor
    """


_UNSAFE = "Run the model's Python even where it cannot be confined."


ENGINES = ("auto", "vllm", "tensorrt-llm", "openai", "transformers", "scripted")


@app.command()
def solve(
    problems: Annotated[Path, typer.Argument(help="CSV or Parquet with id, problem and, if known, answer.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the answers go (.csv or .parquet).")] = Path(
        "submission.csv"
    ),
    preset: Annotated[
        str | None, typer.Option(help="A shipped configuration: miniature, or auto with --model.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file in place of a preset.")] = None,
    model: Annotated[Path | None, typer.Option(help="A model folder; the default is the embedded model.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(ENGINES),
            autocompletion=lambda: list(ENGINES),
            help="What samples the tokens; openai: a server of vLLM, SGLang or others.",
        ),
    ] = None,
    competition: Annotated[
        str | None, typer.Option(help="open, aimo-1, aimo-2 or aimo-3: the allowed answers.")
    ] = None,
    time_limit: Annotated[str | None, typer.Option(help="From process start, like 4h50m, 10m or 90s.")] = None,
    attempts: Annotated[int | None, typer.Option(help="Attempts at each problem.")] = None,
    concurrent_problems: Annotated[
        str | None, typer.Option(metavar="N|auto", help="Problems in flight at once; auto fills the engine.")
    ] = None,
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="One problem after another, as in a contest.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the whole run.")] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Where every attempt is recorded; the default is beside the output.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run that the journal records.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the run as an HTML page when it has ended.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the run's numbers as JSON.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting, such as sampling.top_p=0.9.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines even on a terminal.")] = False,
    unsafe_sandbox: Annotated[bool, typer.Option("--unsafe-sandbox", help=_UNSAFE)] = False,
) -> None:
    """Solve a file of problems and write the answers.

    Examples: python -m solver solve problems.csv -o submission.csv --time-limit 30m --report run.html,
    python -m solver solve problems.csv --model DIR --competition aimo-3 --set sampling.temperature=0.6
    """
    from solver.config import load_config, preset_meant, require_model
    from solver.run import RunOptions, process_start_time, run
    from solver.summary import summary_lines

    preset = preset_meant(preset, config, model is not None, settings or (), engine)
    if one_by_one and concurrent_problems is not None:
        raise UsageError("--one-by-one and --concurrent-problems: give one of them")
    flags: dict[str, Any] = {
        "engine.model": model,
        "engine.name": engine,
        "competition": competition,
        "budget.time_limit_seconds": time_limit,
        "attempts.num_attempts": attempts,
        "concurrent_problems": 1 if one_by_one else concurrent_problems,
        "seed": seed,
        "sandbox.unsafe": unsafe_sandbox or None,
    }
    resolved = load_config(preset, config, settings or (), {k: v for k, v in flags.items() if v is not None})
    require_model(resolved, preset or config)
    options = RunOptions(problems, output, journal, resume, summary, plain)
    if report is not None:
        _check_report(report, options.journal_path)
    result = run(options, resolved, process_start_time())
    for line in summary_lines(result.summary):
        print(line)
    print(f"wrote {len(result.predictions)} answers to {output}")
    if report is not None:
        _write_report([options.journal_path], report)
    if result.summary["journal_failure"]:
        print(f"warning: {result.summary['journal_failure']}; this run cannot be resumed from there", file=sys.stderr)
    if result.error is not None:
        print(f"error: {result.error}; answers so far are written, --resume continues", file=sys.stderr)
    elif result.ended == "interrupted":
        print("interrupted: answers so far are written, --resume continues", file=sys.stderr)
    elif result.summary["decided_by"].get("fallback") == len(result.predictions):
        print("warning: every answer is the fallback; nothing was solved", file=sys.stderr)
    _leave(result.exit_code, at_once=result.is_stuck)


@app.command()
def score(
    submission: Annotated[Path, typer.Argument(help="A file with id and answer.")],
    reference: Annotated[Path, typer.Argument(help="A file with id and the right answer.")],
) -> None:
    """Compare a submission with a file of right answers."""
    from solver.problem import read_answers
    from solver.summary import score_answers

    expected = read_answers(reference)
    right, missing = score_answers(read_answers(submission), expected)
    print(f"score {right}/{len(expected)}")
    if missing:
        print(f"warning: {missing} ids of {reference} have no row in {submission}", file=sys.stderr)


@app.command()
def report(
    journals: Annotated[list[Path], typer.Argument(help="Journals of one run, or of several to compare.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the page goes.")] = Path("run.html"),
    reference: Annotated[
        Path | None, typer.Option(help="Problems with their right answers, where the journal does not tell them.")
    ] = None,
) -> None:
    """Write what a run did as one HTML page that opens from disk.

    Example: python -m solver report submission.journal.jsonl -o run.html
    """
    _write_report(journals, output, reference)


def _write_report(journals: list[Path], output: Path, reference: Path | None = None) -> None:
    from solver.report import write_report

    for note in write_report(journals, output, reference):
        print(f"warning: {note}", file=sys.stderr)
    print(f"wrote {output}")


def _check_report(report: Path, journal: Path) -> None:
    """Before a run of hours: what would keep its report from being written."""
    from solver.problem import check_writable
    from solver.report.page import require_libraries

    check_writable(report)
    require_libraries()
    if report.resolve() == journal.resolve():
        raise UsageError(f"{report} is the journal: name another file with --report")


@app.command(short_help="Show the presets, or every setting.")
def config(
    resolved: Annotated[
        bool,
        typer.Option("--resolved", help="Every setting, and where it comes from; any option here asks for it too."),
    ] = False,
    preset: Annotated[str | None, typer.Option(help="A shipped configuration.")] = None,
    file: Annotated[Path | None, typer.Option("--config", help="A TOML file in place of a preset.")] = None,
    model: Annotated[Path | None, typer.Option(help="A model folder, whose family fills in what is left open.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting, as for `solve`.")
    ] = None,
) -> None:
    """Show the configuration: the presets, or with --resolved every setting and where it comes from. What is printed
    is TOML that --config reads; what the model's family fills in stands there as a comment.

    Examples: python -m solver config --resolved --preset miniature --set sampling.top_p=0.9,
    python -m solver config --resolved --model DIR
    """
    from solver.config import load_config, preset_meant, setting_sources
    from solver.resolved import known_family, preset_lines, resolved_toml

    is_asked_for = resolved or any(it is not None for it in (preset, file, model, settings))
    preset = preset_meant(preset, file, model is not None, settings or ())
    if is_asked_for:
        flags = {} if model is None else {"engine.model": model}
        chosen = load_config(preset, file, settings or (), flags)
        sources = setting_sources(preset, file, settings or (), flags)
        print(resolved_toml(chosen, sources, known_family(chosen)), end="")
        return
    for line in preset_lines():
        print(line)
    print("what wins, from weak to strong: defaults, preset or --config FILE, --set A.B=C, options such as --attempts")
    print("settings left open are filled in by the model's family: --resolved lists all of them, --model DIR shows how")


@app.command(short_help="Read a journal in the terminal.")
def show(
    journal: Annotated[Path, typer.Argument(help="The journal of a run.")],
    problem: Annotated[str | None, typer.Argument(help="A problem's id: its attempts are listed.")] = None,
    attempt: Annotated[int | None, typer.Argument(help="An attempt's number: its transcript is shown.")] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="Only problems answered wrongly.")] = False,
    undecided: Annotated[
        bool, typer.Option("--undecided", help="Only problems that no stopping rule decided.")
    ] = False,
    search: Annotated[str | None, typer.Option(help="List the attempts whose text holds this.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Problems with their right answers, where the journal does not tell them.")
    ] = None,
) -> None:
    """Read a journal in the terminal: its problems, a problem's attempts, or one transcript.

    Examples: python -m solver show submission.journal.jsonl --wrong,
    python -m solver show submission.journal.jsonl farmyard 3
    """
    from solver.show import ShowOptions, show

    for note in show(ShowOptions(journal, problem, attempt, wrong, undecided, search, reference)):
        print(f"warning: {note}", file=sys.stderr)


@app.command(short_help="Open the sandbox as the model sees it.")
def python(
    code: Annotated[str | None, typer.Option("-c", help="Run this block and leave.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting, such as sandbox.memory_mib=512.")
    ] = None,
    unsafe_sandbox: Annotated[bool, typer.Option("--unsafe-sandbox", help=_UNSAFE)] = False,
) -> None:
    """Open the sandbox as the model sees it: Python block by block, or one block from -c or standard input.

    Example: python -m solver python -c 'import sympy; sympy.factorint(2**64 + 1)'
    """
    from solver.config import load_config
    from solver.sandbox.repl import run_repl

    limits = load_config(settings=settings or (), flags={"sandbox.unsafe": True} if unsafe_sandbox else {}).sandbox
    _leave(run_repl(limits, say=print, note=lambda line: print(line, file=sys.stderr), code=code))


@app.command(short_help="Tell whether a run would start here.")
def doctor(
    preset: Annotated[str | None, typer.Option(help="A shipped configuration.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file in place of a preset.")] = None,
    model: Annotated[Path | None, typer.Option(help="A model folder; the default is the embedded model.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Any setting, as for `solve`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the checks as JSON.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Load the model too and have it solve one problem.")] = False,
) -> None:
    """Tell whether a run would start here, and what to do where it would not. Exit code 1 where there is a problem.

    Example: python -m solver doctor --model DIR --deep
    """
    from solver import doctor
    from solver.config import load_config, preset_meant, require_model

    preset = preset_meant(preset, config, model is not None, settings or ())
    resolved = load_config(preset, config, settings or (), {} if model is None else {"engine.model": model})
    require_model(resolved, preset or config)
    lines = []
    for line in doctor.examine(resolved, deep=deep):
        lines.append(line)
        if not as_json:
            print(line, flush=True)
    print(doctor.as_json(lines) if as_json else doctor.verdict(lines))
    _leave(1 if any(line.state == "problem" for line in lines) else 0)


@app.command(short_help="Decide recorded attempts again.")
def replay(
    traces: Annotated[Path, typer.Argument(help="A journal, a CSV of recorded attempts, or a folder of them.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="The policy, such as consensus.quorum=4.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="A shipped configuration's policy.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file, such as `tune -o` writes.")] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, help="The first so many of each problem's attempts; the default is all.")
    ] = None,
    time_limit: Annotated[str | None, typer.Option(help="Play it on a simulated clock, like 5h.")] = None,
    tokens_per_second: Annotated[float, typer.Option(help="On that clock, of one attempt.")] = 100.0,
    slots: Annotated[int | None, typer.Option(help="On that clock, attempts at once; the default is all.")] = None,
    shuffle: Annotated[int | None, typer.Option(help="On that clock, problems in this seed's order.")] = None,
    each: Annotated[bool, typer.Option("--each", help="A line for each problem-run.")] = False,
) -> None:
    """Decide recorded attempts again under any policy, without a model.

    Example: python -m solver replay submission.journal.jsonl --set consensus.rule=adaptive-consistency
    """
    from solver.config import parse_duration
    from solver.replay import clock_lines, each_lines, policy_line, report_lines, resolve_policy
    from solver.traces import read_traces, trace_notes

    if each and time_limit is not None:
        raise UsageError("--each and --time-limit: give one of them")
    recorded = read_traces(traces)
    policy = resolve_policy(recorded, preset, config, settings or (), attempts)
    number = policy.attempts.num_attempts
    print(policy_line(policy), file=sys.stderr)
    for note in trace_notes(traces):
        print(f"note: {note}", file=sys.stderr)
    if time_limit is not None:
        try:
            seconds = parse_duration(time_limit)
        except ValueError as error:
            raise UsageError(f"--time-limit: {error}") from None
        lines = clock_lines(recorded, policy, seconds, tokens_per_second, number, slots, shuffle)
    else:
        lines = (each_lines if each else report_lines)(recorded, policy.consensus, number)
    for line in lines:
        print(line)


@app.command(short_help="Search policies on simulated contests.")
def tune(
    traces: Annotated[Path, typer.Argument(help="A journal, a CSV of recorded attempts, or a folder of them.")],
    mix: Annotated[str, typer.Option(help="Difficulty of the contests: easy, middling or hard.")] = "middling",
    problems: Annotated[int, typer.Option(help="Problems of a contest.")] = 50,
    time_limit: Annotated[str, typer.Option(help="Of a contest.")] = "5h",
    tokens_per_second: Annotated[float, typer.Option(help="Of one attempt among the others.")] = 100.0,
    contests: Annotated[int, typer.Option(help="Simulated contests.")] = 40,
    plot: Annotated[Path | None, typer.Option(help="Where to draw score against time (.svg).")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the settings there too, as TOML.")
    ] = None,
    learn: Annotated[bool, typer.Option("--learn", help="Print the time model of these traces, and no more.")] = False,
) -> None:
    """Search policies on simulated contests: chosen on one half of the problems, reported on the other.

    Example: python -m solver tune traces/ --mix hard --plot front.svg
    """
    from solver.config import parse_duration
    from solver.problem import check_writable
    from solver.traces import read_traces, trace_notes
    from solver.tune import Setting, check_mix, front_svg, learn_lines, learned_from, split, tune, tune_lines

    check_mix(mix)
    for path in (plot, output):
        if path is not None:
            check_writable(path)  # before minutes of contests
    recorded = read_traces(traces)
    for note in trace_notes(traces):
        print(f"note: {note}", file=sys.stderr)
    if learn:
        for line in learn_lines(learned_from([trace for half in split(recorded, 0) for trace in half], mix, seed=0)):
            print(line)
        return
    try:
        seconds = parse_duration(time_limit)
    except ValueError as error:
        raise UsageError(f"--time-limit: {error}") from None
    print("playing contests: seconds to minutes, by the number of recorded attempts", file=sys.stderr)
    result = tune(recorded, Setting(mix, problems, seconds, tokens_per_second, contests))
    for line in tune_lines(result):
        print(line)
    if plot is not None:
        plot.write_text(front_svg(result), "utf-8")
        print(f"wrote {plot}", file=sys.stderr)
    if output is not None:
        output.write_text(result.best.policy.toml(), "utf-8")
        print(f"wrote {output}", file=sys.stderr)


def main() -> NoReturn:
    run_commands(app, interrupted="interrupted before anything was solved", command="olympiad-solver")


def _leave(exit_code: int, *, at_once: bool = False) -> NoReturn:
    if at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)
