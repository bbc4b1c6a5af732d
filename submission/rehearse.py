"""A bundle, run as Kaggle would run it: in a clean environment, under /kaggle in each mount layout, without network,
once as the commit run and once as the scored one, against problems whose answers are known.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from solver.competition import find_competition
from solver.problem import read_problems
from solver.types import Problem
from submission.check import check_answers, check_table
from submission.config import SubmissionConfig, read_config
from submission.environment import copy_environment, prepare_environment
from submission.errors import BundleError, RehearsalError
from submission.findings import Finding, Severity
from submission.isolation import describe_isolation, isolate, namespaces, working_bytes
from submission.mounts import LAYOUTS, Kind, Layout, mount_point
from submission.protocol import Protocol
from submission.session import Mode, Runner, SessionResult, SessionSpec
from submission.standin import write_package
from submission.wheels import find_image

_WORKING_LIMIT = 20 * 10**9
_OURS = {"submission.parquet", "result.json", "health.json", "journal.jsonl"}
_KILL_SECONDS = 90.0
VISIBLE = (
    Problem("000aaa", "What is $3-3$?", 0),
    Problem("111bbb", "What is $0\\times 7$?", 0),
    Problem("222ccc", "Solve $2+x=2$ for $x$.", 0),
)
"""What stands in for the visible test of a commit run: as on Kaggle, three rows whose answers are all zero."""


@dataclass(frozen=True)
class RehearsalOptions:
    modes: tuple[Mode, ...] = ("commit", "rerun")
    layouts: tuple[Layout, ...] = LAYOUTS
    scored_runs: int | None = None
    """Of the first layout; None: two where the contest scores two runs."""
    num_problems: int | None = None
    """The first so many; None: all."""
    time_limit_seconds: float | None = None
    """Of the whole contest, in place of 5 hours; None: 20 s a problem, and a minute to start."""
    call_seconds: float | None = None
    """Of one predict; None: the whole time."""
    fault: str | None = None
    """Such as hang@2; see `submission.faults`."""
    seed: int = 0
    runner: Runner = "notebook"
    clean: bool = True
    """False: run in this interpreter's own environment; the notebook installs nothing."""
    use_namespaces: bool = True
    kaggle_files: Path | None = None
    """A folder with Kaggle's own kaggle_evaluation, to be used in place of the stand-in."""
    keep: Path | None = None
    """Where the runs' folders stay to be looked at."""


@dataclass
class Run:
    """One session, and what came of it."""

    mode: Mode
    layout: Layout
    number: int = 1
    answers: dict[str, Any] = field(default_factory=dict)
    right: int = 0
    problems: int = 0
    fallbacks: int | None = None
    health: dict[str, Any] = field(default_factory=dict)
    seconds_to_serve: float | None = None
    """Until the gateway had found the server; None where it never did."""
    session: SessionResult = field(default_factory=SessionResult)
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.mode}, {self.layout} layout" + (f", run {self.number}" if self.number > 1 else "")

    def line(self) -> str:
        failures = sum(finding.severity == "failure" for finding in self.findings)
        score = f"{self.right}/{self.problems} right"
        parts = [score if self.mode == "rerun" else f"{len(self.answers)}/{self.problems} answered"]
        parts += [] if self.fallbacks is None else [f"{self.fallbacks} fallbacks"]
        parts += [] if self.seconds_to_serve is None else [f"served after {self.seconds_to_serve:.1f} s"]
        parts += [f"{self.session.seconds:.1f} s in all", f"{failures} failures" if failures else "ok"]
        return f"{self.name}: {', '.join(parts)}"


@dataclass
class Report:
    runs: list[Run] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """Of the runs together."""
    expected_score: float | None = None
    """Of two scored runs: 1, 1/2 or 0 for each problem."""
    stage: str = ""

    @property
    def all_findings(self) -> list[Finding]:
        return [*(finding for run in self.runs for finding in run.findings), *self.findings]

    @property
    def ok(self) -> bool:
        return not any(finding.severity == "failure" for finding in self.all_findings)

    def as_record(self) -> dict[str, Any]:
        runs = [
            {
                **{name: getattr(run, name) for name in ("mode", "layout", "number", "right", "problems", "fallbacks")},
                "answers": run.answers,
                "health": run.health,
                "seconds": run.session.seconds,
                "seconds_to_serve": run.seconds_to_serve,
                "findings": [_finding_record(finding) for finding in run.findings],
            }
            for run in self.runs
        ]
        findings = [_finding_record(finding) for finding in self.findings]
        return {"ok": self.ok, "stage": self.stage, "score": self.expected_score, "runs": runs, "findings": findings}


def rehearse(
    bundle: Path, problems: Path, options: RehearsalOptions, tell: Callable[[str], None] = lambda line: None
) -> Report:
    """Raises SolverError where nothing can be rehearsed; what goes wrong in it is in the report."""
    config = read_config(bundle / "wheels" / "submission.json")
    if not config.protocol.has_gateway:
        raise RehearsalError(
            f"{config.competition} had no gateway to rehearse: drive submission.aimo1.LocalEnv instead"
        )
    asked = read_problems(problems)[: options.num_problems]
    report = Report(stage=describe_isolation(use_namespaces=options.use_namespaces))
    environment = prepare_environment(find_image(config.wheels.image)) if options.clean else None
    for mode, layout, number in _plan(config, options):
        with _folder(options, f"{mode}-{layout}-{number}") as folder:
            chosen = VISIBLE if mode == "commit" else asked
            play = _Play(config, bundle, chosen, options, environment, folder)
            run = play.run(mode, layout, number)
        report.runs.append(run)
        tell(run.line())
        for finding in run.findings:
            tell(f"  {finding.line()}")
    _compare_runs(report, asked)
    return report


def _plan(config: SubmissionConfig, options: RehearsalOptions) -> Iterator[tuple[Mode, Layout, int]]:
    two_runs = find_competition(config.competition).scoring == "two-run"
    scored = options.scored_runs or (2 if two_runs else 1)
    for mode in options.modes:
        for place, layout in enumerate(options.layouts):
            for number in range(1, (scored if mode == "rerun" and place == 0 else 1) + 1):
                yield mode, layout, number


class _Play:
    def __init__(
        self,
        config: SubmissionConfig,
        bundle: Path,
        problems: Sequence[Problem],
        options: RehearsalOptions,
        environment: Path | None,
        folder: Path,
    ) -> None:
        self._config, self._bundle, self._problems = config, bundle, problems
        self._options, self._environment, self._folder = options, environment, folder
        self._seconds = options.time_limit_seconds or 60.0 + 20.0 * len(problems)
        self._log = folder / "answers.jsonl"
        self._is_namespaced = options.use_namespaces and namespaces() is not None

    def run(self, mode: Mode, layout: Layout, number: int) -> Run:
        self._build_tree(layout)
        run = Run(mode, layout, number, problems=len(self._problems))
        run.session = self._play(mode, number)
        run.health = _read_json(self._folder / "kaggle" / "working" / "health.json")
        run.fallbacks = run.health.get("fallbacks")
        lines = [json.loads(line) for line in self._log.read_text("utf-8").splitlines()] if self._log.exists() else []
        answers = [line for line in lines if "kind" in line]
        if connected := [line["connected"] for line in lines if "connected" in line]:
            run.seconds_to_serve = connected[0] - run.session.began
        self._score(run)
        run.findings = [*self._judge(run, answers), *check_answers(answers, find_competition(self._config.competition))]
        return run

    def _build_tree(self, layout: Layout) -> None:
        """What is attached, and nothing that is not: the sources are those of the notebook's metadata."""
        protocol, inputs = self._config.protocol, self._folder / "kaggle" / "input"
        (self._folder / "kaggle" / "working").mkdir(parents=True)
        metadata = _read_json(self._bundle / "notebook" / "kernel-metadata.json")
        for source in metadata.get("competition_sources", []):
            folder = inputs / mount_point(layout, "competition", source)
            folder.mkdir(parents=True)
            self._write_competition(folder, protocol)
        kaggle = self._config.kaggle
        local = {
            f"{kaggle.owner}/{kaggle.slug}-wheels": self._bundle / "wheels",
            f"{kaggle.owner}/{kaggle.model_slug}": self._bundle / "model",
        }
        kinds: tuple[Kind, ...] = ("dataset", "model")
        for kind in kinds:
            for source in metadata.get(f"{kind}_sources", []):
                files = local.get("/".join(source.split("/")[:2]))
                if files is None or not files.is_dir():
                    raise RehearsalError(
                        f"{source} lies on Kaggle alone: make a bundle with --model DIR to rehearse it"
                    )
                folder = inputs / mount_point(layout, kind, source)
                folder.mkdir(parents=True)
                for path in files.iterdir():  # sub-folders are left out, as the upload does
                    if path.is_file() and not path.name.endswith("-metadata.json"):
                        self._place(path, folder / path.name)

    def _place(self, source: Path, destination: Path) -> None:
        """Linked where a read-only mount keeps the notebook from writing into it, else copied."""
        with contextlib.suppress(OSError):
            if self._is_namespaced:
                destination.hardlink_to(source.resolve())
                return
        shutil.copy(source, destination)

    def _write_competition(self, folder: Path, protocol: Protocol) -> None:
        ids = [problem.id for problem in self._problems]
        texts = [problem.text for problem in self._problems]
        table = pl.DataFrame({"id": ids, protocol.text_column: texts})
        table.write_csv(folder / "test.csv", quote_style="always")
        pl.DataFrame({"id": ids, "answer": [0] * len(ids)}).write_csv(folder / "sample_submission.csv")
        if self._options.kaggle_files is not None:
            shutil.copytree(self._options.kaggle_files / "kaggle_evaluation", folder / "kaggle_evaluation")
        else:
            write_package(folder, protocol)

    def _play(self, mode: Mode, number: int) -> SessionResult:
        python, environment = sys.executable, {}
        if self._environment is not None:
            python = str(copy_environment(self._environment, self._folder / "environment"))
        elif path := os.environ.get("PYTHONPATH"):
            environment["PYTHONPATH"] = path
        spec = SessionSpec(
            mode=mode,
            competition=self._config.competition,
            notebook=str(self._bundle / "notebook" / "notebook.ipynb"),
            python=python,
            run=str(self._folder),
            runner=self._options.runner,
            is_namespaced=self._is_namespaced,
            session_seconds=self._seconds,
            options=self._notebook_options(number),
            kaggle_files=str(self._options.kaggle_files) if self._options.kaggle_files else None,
            environment=environment,
        )
        return _run_session(spec, self._folder, self._seconds + _KILL_SECONDS, self._options.use_namespaces)

    def _notebook_options(self, number: int) -> dict[str, Any]:
        gateway = {
            "seed": random.Random(f"{self._options.seed}/{number}").randrange(2**31),
            "call_seconds": self._options.call_seconds or self._seconds,
            "session_seconds": self._seconds,
            "startup_seconds": min(self._config.protocol.startup_seconds, self._seconds),
            "log": str(self._log),
        }
        reserve = min(10.0, 0.05 * self._seconds)
        settings = [f"budget.time_limit_seconds={self._seconds}", f"budget.reserve_seconds={reserve}"]
        options: dict[str, Any] = {"gateway": gateway, "settings": settings, "expected_problems": len(self._problems)}
        return options | ({"fault": self._options.fault} if self._options.fault else {})

    def _score(self, run: Run) -> None:
        path = self._folder / "kaggle" / "working" / "submission.parquet"
        if not path.exists():
            return
        competition = find_competition(self._config.competition)
        table = pl.read_parquet(path)
        run.findings = check_table(table, competition, [problem.id for problem in self._problems])
        if {"id", "answer"} <= set(table.columns):
            run.answers = {str(row[0]): row[1] for row in table.select("id", "answer").iter_rows()}
        for problem in self._problems:
            answer = run.answers.get(problem.id)
            run.right += isinstance(answer, int) and competition.judge(answer, problem.answer) is True

    def _judge(self, run: Run, answers: Sequence[dict[str, Any]]) -> Iterator[Finding]:
        yield from run.findings  # of the file
        session, result = run.session, run.session.result or {}
        if session.notebook_error:
            yield classify(session.notebook_error)
        if result and not result["Succeeded"]:
            yield _gateway_finding(result)
        if session.timed_out and run.mode == "rerun" and run.seconds_to_serve is None:
            yield Finding("late-serve", f"no server within the {self._seconds:g} s of the whole run")
        elif session.timed_out:
            asked = f"after {len(answers)} of {len(self._problems)} answers"
            yield Finding("notebook-timeout", f"not done within {self._seconds:g} s, {asked}")
        if not (self._folder / "kaggle" / "working" / "submission.parquet").exists() and not session.notebook_error:
            if run.mode == "commit":
                yield Finding("no-submission", "the commit run ended without a submission.parquet")
            elif not result and not session.timed_out:
                yield Finding("no-submission", "the scored run ended without a submission.parquet")
        limit = self._config.protocol.startup_seconds
        if run.seconds_to_serve is not None and run.seconds_to_serve > limit:
            yield Finding("late-serve", f"the server was there after {run.seconds_to_serve:.0f} s, over {limit:g} s")
        if run.fallbacks:
            reasons = ", ".join(f"{count} {reason}" for reason, count in run.health["fallback_reasons"].items())
            severity: Severity = "failure" if run.fallbacks == len(self._problems) else "warning"
            text = f"{run.fallbacks} of {len(self._problems)} answers are fallbacks ({reasons})"
            yield Finding("fallbacks", text, severity)
        if run.health and run.health["state"] != "ok":
            text = f"health {run.health['state']}: {'; '.join(run.health['reasons']) or 'no reason given'}"
            yield Finding("health", text, "failure" if run.mode == "commit" and not self._options.fault else "warning")
        yield from self._judge_working()

    def _judge_working(self) -> Iterator[Finding]:
        working = self._folder / "kaggle" / "working"
        size = working_bytes(working)
        if size > _WORKING_LIMIT:
            yield Finding("working-size", f"/kaggle/working holds {size / 1e9:.1f} GB, over 20")
        strays = sorted(path.name for path in working.iterdir() if path.name not in _OURS and path.name[0] != ".")
        if strays:
            text = f"left in /kaggle/working, and saved as output: {', '.join(strays[:5])}"
            yield Finding("working-size", text, "warning")


def classify(error: str) -> Finding:
    """A notebook's or server's exception, told by what it means."""
    for code, pattern in _MEANINGS:
        if pattern in error.lower():
            return Finding(code, error.splitlines()[0][:300])
    return Finding("notebook-error", (error.splitlines() or [""])[0][:300])


_MEANINGS = (
    ("worker-thread", "signal only works in main thread"),
    ("worker-thread", "no current event loop in thread"),
    ("network", "name resolution"),
    ("network", "network is unreachable"),
    ("network", "name or service not known"),
    ("network", "max retries exceeded"),
    ("server-twice", "the server has already started"),
    ("read-only", "read-only file system"),
    ("read-only", "permission denied: '/kaggle/input"),
    ("wheels", "'pip'"),
    ("source-missing", "is not attached"),
    ("health", "healtherror"),
    ("literal-path", "no such file or directory: '/kaggle/input"),
    ("server-died", "deadkernelerror"),
    ("server-died", "process died"),
    ("missing-endpoint", "server_missing_endpoint"),
    ("answer-shape", "invalid_submission"),
    ("answer-shape", "target_column_name"),
    ("answer-shape", "cannot be concatenated"),
    ("answer-shape", "has no columns"),
    ("no-answer", "grpc_deadline_exceeded"),
    ("server-raised", "server_raised_exception"),
)
_CODES = {
    "SERVER_NEVER_STARTED": "late-serve",
    "SERVER_CONNECTION_FAILED": "server-died",
    "SERVER_RAISED_EXCEPTION": "server-raised",
    "SERVER_MISSING_ENDPOINT": "missing-endpoint",
    "INVALID_SUBMISSION": "answer-shape",
    "GRPC_DEADLINE_EXCEEDED": "no-answer",
}


def _gateway_finding(result: dict[str, Any]) -> Finding:
    text = f"{result['ErrorName']}: {result['ErrorDetails']}"
    finding = classify(text)
    if finding.code != "notebook-error":
        return finding
    if "Notebook Timeout" in text:
        return Finding("notebook-timeout", text)
    return Finding(_CODES.get(result["ErrorName"], "gateway-error"), text[:300])


def _compare_runs(report: Report, problems: Sequence[Problem]) -> None:
    """What only several runs tell."""
    _compare_modes(report)
    second = next((run for run in report.runs if run.number == 2), None)
    if second is None:
        return
    first = next(run for run in report.runs if (run.mode, run.layout, run.number) == (second.mode, second.layout, 1))
    known = [problem for problem in problems if problem.answer is not None]
    pair = (first.answers, second.answers)
    report.expected_score = sum(0.5 * (run.get(problem.id) == problem.answer) for run in pair for problem in known)
    differ = [problem.id for problem in problems if pair[0].get(problem.id) != pair[1].get(problem.id)]
    if differ:
        text = f"two scored runs gave different answers to {len(differ)} of {len(problems)}: {', '.join(differ[:5])}"
        report.findings.append(Finding("runs-differ", text, "warning"))


def _compare_modes(report: Report) -> None:
    def fails(mode: Mode) -> list[bool]:
        failures = [[f for f in run.findings if f.severity == "failure"] for run in report.runs if run.mode == mode]
        return [bool(found) for found in failures]

    if fails("commit") and not any(fails("commit")) and fails("rerun") and all(fails("rerun")):
        text = "the commit run passes and every scored run fails: does the code know the visible ids or their number?"
        report.findings.append(Finding("unknown-ids", text))


def _run_session(spec: SessionSpec, folder: Path, timeout: float, use_namespaces: bool) -> SessionResult:
    command = [sys.executable, "-m", "submission.session", str(folder / "spec.json")]
    command, variables = isolate(command, folder, use_namespaces=use_namespaces)
    path = os.pathsep.join(part for part in (variables.get("PYTHONPATH"), spec.environment.get("PYTHONPATH")) if part)
    spec.environment.update(variables | ({"PYTHONPATH": path} if path else {}))
    (folder / "spec.json").write_text(json.dumps(asdict(spec)), "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *_tool_path()])}
    with (folder / "session.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return SessionResult(timed_out=True, seconds=timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    result = _read_json(folder / "session.json")
    if not result:
        said = (folder / "session.log").read_text("utf-8", "replace").strip().splitlines()
        raise RehearsalError(f"the rehearsal itself failed: {said[-1] if said else 'no word'}")
    return SessionResult(**result)


def _tool_path() -> list[str]:
    return [path for path in [os.environ.get("PYTHONPATH", "")] if path]


class _folder:
    """A new folder for a run, removed afterwards unless it is to be kept."""

    def __init__(self, options: RehearsalOptions, name: str) -> None:
        self._keep, self._name = options.keep, name

    def __enter__(self) -> Path:
        if self._keep is not None:
            self._path = (self._keep / self._name).resolve()
            if self._path.exists():
                raise BundleError(f"{self._path} is there already: name a new folder with --keep")
            self._path.mkdir(parents=True)
        else:
            self._path = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        return self._path

    def __exit__(self, *error: object) -> None:
        if self._keep is None:
            for path in self._path.rglob("*"):  # the write-protected ones
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            shutil.rmtree(self._path, ignore_errors=True)


def _finding_record(finding: Finding) -> dict[str, str]:
    return {**asdict(finding), "on_kaggle": finding.on_kaggle}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
