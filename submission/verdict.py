"""What a rehearsed session and several of them together tell: its answers scored, each mistake a finding."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from solver.competition import Competition
from solver.types import Problem
from submission.check import check_answers, check_table
from submission.findings import Finding, Severity
from submission.isolation import working_bytes
from submission.mounts import Layout
from submission.session import Mode, SessionResult

_WORKING_LIMIT = 20 * 10**9
_OURS = {"submission.parquet", "result.json", "health.json", "journal.jsonl"}


@dataclass
class Run:
    """One session, and what came of it."""

    mode: Mode
    layout: Layout
    number: int = 1
    is_played: bool = False
    """Texts were played in place of the model: there is nothing to score."""
    answers: dict[str, Any] = field(default_factory=dict)
    right: int = 0
    problems: int = 0
    known: int = 0
    """Problems whose right answer is known."""
    fallbacks: int | None = None
    health: dict[str, Any] = field(default_factory=dict)
    seconds_to_serve: float | None = None
    """Until the gateway had found the server; None where it never did."""
    session: SessionResult = field(default_factory=SessionResult)
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.mode}, {self.layout} layout" + (f", run {self.number}" if self.number > 1 else "")

    @property
    def is_scored(self) -> bool:
        return self.mode == "rerun" and not self.is_played and self.known > 0

    def line(self) -> str:
        failures = sum(finding.severity == "failure" for finding in self.findings)
        answers = f"{len(self.answers)}/{self.problems} answered"
        parts = [f"{self.right}/{self.known} right" if self.is_scored else answers]
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
    """Of two scored runs: 1, 1/2 or 0 for each problem whose answer is known."""
    best_score: int = 0
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
                **{name: getattr(run, name) for name in ("mode", "layout", "number", "is_played")},
                **{name: getattr(run, name) for name in ("right", "problems", "fallbacks")},
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


@dataclass(frozen=True)
class Terms:
    """What a session is judged by."""

    competition: Competition
    problems: Sequence[Problem]
    working: Path
    """Its /kaggle/working, as it was left."""
    seconds: float
    """Its time limit."""
    startup_seconds: float
    """Kaggle's limit for the server to come."""
    is_fault_injected: bool = False
    is_logged: bool = True
    """Whether the gateway told when it found the server and what it was answered; Kaggle's own does not."""


def judge_run(run: Run, terms: Terms, answers: Sequence[dict[str, Any]]) -> None:
    """Score `run` and fill in its findings; `answers` as the gateway logged them (`Answered.as_record`)."""
    run.findings = [
        *_score(run, terms),
        *_judge_ending(run, terms, len(answers)),
        *_judge_health(run, terms),
        *_judge_working(terms.working),
        *check_answers(answers, terms.competition),
    ]


def _score(run: Run, terms: Terms) -> list[Finding]:
    path = terms.working / "submission.parquet"
    if not path.exists():
        return []
    table = pl.read_parquet(path)
    if {"id", "answer"} <= set(table.columns):
        run.answers = {str(row[0]): row[1] for row in table.select("id", "answer").iter_rows()}
    run.known = sum(problem.answer is not None for problem in terms.problems)
    for problem in terms.problems:
        answer = run.answers.get(problem.id)
        run.right += isinstance(answer, int) and terms.competition.judge(answer, problem.answer) is True
    return check_table(table, terms.competition, [problem.id for problem in terms.problems])


def _judge_ending(run: Run, terms: Terms, num_answers: int) -> Iterator[Finding]:
    session, result = run.session, run.session.result or {}
    if session.notebook_error:
        yield classify(session.notebook_error)
    if result and not result["Succeeded"]:
        yield _gateway_finding(result)
    if session.timed_out and run.mode == "rerun" and terms.is_logged and run.seconds_to_serve is None:
        yield Finding("late-serve", f"no server within the {terms.seconds:g} s of the whole run")
    elif session.timed_out:
        asked = f", after {num_answers} of {len(terms.problems)} answers" if terms.is_logged else ""
        yield Finding("notebook-timeout", f"not done within {terms.seconds:g} s{asked}")
    if not (terms.working / "submission.parquet").exists() and not session.notebook_error:
        if run.mode == "commit":
            yield Finding("no-submission", "the commit run ended without a submission.parquet")
        elif not result and not session.timed_out:
            yield Finding("no-submission", "the scored run ended without a submission.parquet")
    if run.seconds_to_serve is not None and run.seconds_to_serve > terms.startup_seconds:
        text = f"the server was there after {run.seconds_to_serve:.0f} s, over {terms.startup_seconds:g} s"
        yield Finding("late-serve", text)


def _judge_health(run: Run, terms: Terms) -> Iterator[Finding]:
    if run.fallbacks:
        reasons = ", ".join(f"{count} {reason}" for reason, count in run.health["fallback_reasons"].items())
        severity: Severity = "failure" if run.fallbacks == len(terms.problems) else "warning"
        text = f"{run.fallbacks} of {len(terms.problems)} answers are fallbacks ({reasons})"
        yield Finding("fallbacks", text, severity)
    if run.health and run.health["state"] != "ok":
        text = f"health {run.health['state']}: {'; '.join(run.health['reasons']) or 'no reason given'}"
        yield Finding("health", text, "failure" if run.mode == "commit" and not terms.is_fault_injected else "warning")


def _judge_working(working: Path) -> Iterator[Finding]:
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


def compare_runs(report: Report, problems: Sequence[Problem]) -> None:
    """Add to `report` what only several runs tell: their common score, and where they differ."""
    _compare_modes(report)
    second = next((run for run in report.runs if run.number == 2), None)
    if second is None or second.is_played:
        return
    first = next(run for run in report.runs if (run.mode, run.layout, run.number) == (second.mode, second.layout, 1))
    known = [problem for problem in problems if problem.answer is not None]
    pair = (first.answers, second.answers)
    if known:
        report.best_score = len(known)
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


def _finding_record(finding: Finding) -> dict[str, str]:
    return {**asdict(finding), "on_kaggle": finding.on_kaggle}
