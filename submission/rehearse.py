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
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from solver.competition import find_competition
from solver.errors import UsageError
from solver.problem import read_problems
from solver.types import Problem
from submission.config import SubmissionConfig, read_config
from submission.environment import copy_environment, prepare_environment
from submission.errors import RehearsalError
from submission.faults import parse_fault
from submission.isolation import describe_isolation, isolate, namespaces
from submission.mounts import LAYOUTS, Layout
from submission.protocol import Protocol
from submission.session import Mode, Runner, SessionResult, SessionSpec
from submission.tree import TreeOptions, build_tree
from submission.verdict import Report, Run, Terms, compare_runs, judge_run
from submission.wheels import Image, find_image

_KILL_SECONDS = 90.0
_KAGGLES_NEEDS = ("pandas", "pyarrow")  # of Kaggle's own kaggle_evaluation, beside what the stand-in needs
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
    """Of the whole contest, in place of 5 hours; None: 20 s a problem, and two minutes to start."""
    call_seconds: float | None = None
    """Of one predict; None: the whole time."""
    fault: str | None = None
    """Such as hang@2; see `submission.faults`."""
    seed: int = 0
    runner: Runner = "notebook"
    clean: bool = True
    """False: run in this interpreter's own environment; the notebook installs nothing."""
    use_namespaces: bool = True
    without_model: bool = False
    """Play texts in place of the model, on a machine without its weights or its GPU."""
    kaggle_files: Path | None = None
    """A folder with Kaggle's own kaggle_evaluation, to be used in place of the stand-in."""
    keep: Path | None = None
    """Where the runs' folders stay to be looked at."""


def rehearse(
    bundle: Path, problems: Path, options: RehearsalOptions, tell: Callable[[str], None] = lambda line: None
) -> Report:
    """Raises SolverError where nothing can be rehearsed; what goes wrong in it is in the report."""
    config = read_config(bundle / "wheels" / "submission.json")
    bundle = bundle.resolve()  # a session has another working folder
    if not config.protocol.has_gateway:
        raise RehearsalError(
            f"{config.competition} had no gateway to rehearse: drive submission.aimo1.LocalEnv instead"
        )
    asked = read_problems(problems)[: options.num_problems]
    options, plan = _checked(options, bundle, config.protocol), list(_plan(config, options))
    _check_fault(options, len(asked))
    report = Report(stage=_stage(options))
    _tell_beforehand(tell, asked, config, options, len(plan))
    environment = prepare_environment(_image(config, options)) if options.clean else None
    for mode, layout, number in plan:
        with _folder(options, f"{mode}-{layout}-{number}") as folder:
            chosen = VISIBLE if mode == "commit" else asked
            play = _Play(config, bundle, chosen, options, environment, folder)
            run = play.run(mode, layout, number)
        report.runs.append(run)
        tell(run.line())
        for finding in run.findings:
            tell(f"  {finding.line()}")
    compare_runs(report, asked)
    return report


def _tell_beforehand(
    tell: Callable[[str], None],
    asked: Sequence[Problem],
    config: SubmissionConfig,
    options: RehearsalOptions,
    num_sessions: int,
) -> None:
    competition = find_competition(config.competition)
    for problem in asked:
        if problem.answer is not None and competition.admits(problem.answer) is None:
            bounds = f"{competition.answer_min} to {competition.answer_max}"
            tell(f"problem {problem.id}: its answer {problem.answer} is outside {competition.name}'s {bounds}")
    first = "a clean environment, then " if options.clean else ""
    tell(f"{first}{num_sessions} sessions, minutes each with a model; a line as each ends")


def _check_fault(options: RehearsalOptions, num_problems: int) -> None:
    """Raises UsageError for a fault that no run would come to."""
    if options.fault is None:
        return
    _, number = parse_fault(options.fault)
    most = max(len(VISIBLE) if mode == "commit" else num_problems for mode in options.modes)
    if number > most:
        raise UsageError(f"--fault {options.fault}: there are only {most} problems")


def _image(config: SubmissionConfig, options: RehearsalOptions) -> Image:
    image = find_image(config.wheels.image)
    return image if options.kaggle_files is None else replace(image, packages=(*image.packages, *_KAGGLES_NEEDS))


def _stage(options: RehearsalOptions) -> str:
    isolation = describe_isolation(use_namespaces=options.use_namespaces)
    return f"{isolation}; texts in place of the model" if options.without_model else isolation


def _checked(options: RehearsalOptions, bundle: Path, protocol: Protocol) -> RehearsalOptions:
    """The options with whole paths. What would fail after minutes is told at once."""
    files, keep = options.kaggle_files, options.keep
    if options.clean and not (bundle / "wheels" / "requirements.txt").read_text("utf-8").strip():
        raise RehearsalError("the bundle holds no wheels: rehearse it in this environment, with --here")
    if files is not None:
        files = files.resolve()
        if not (module := files / "kaggle_evaluation" / f"{protocol.module}.py").is_file():
            raise UsageError(f"--kaggle-files {options.kaggle_files}: there is no {module}")
        if missing := [name for name in _KAGGLES_NEEDS if find_spec(name) is None]:
            raise RehearsalError(f"Kaggle's own files need {' and '.join(missing)}: pip install {' '.join(missing)}")
    if keep is not None:
        keep = keep.resolve()
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise UsageError(f"--keep {options.keep} is not empty: name a new folder")
    return replace(options, kaggle_files=files, keep=keep)


def _plan(config: SubmissionConfig, options: RehearsalOptions) -> Iterator[tuple[Mode, Layout, int]]:
    two_runs = find_competition(config.competition).scoring == "two-run"
    scored = options.scored_runs or (2 if two_runs and not options.without_model else 1)
    for mode in options.modes:
        for place, layout in enumerate(options.layouts):
            for number in range(1, (scored if mode == "rerun" and place == 0 else 1) + 1):
                yield mode, layout, number


class _Play:
    """One session: its tree, the session, its verdict."""

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
        self._seconds = options.time_limit_seconds or 120.0 + 20.0 * len(problems)
        self._log = folder / "answers.jsonl"
        self._is_namespaced = options.use_namespaces and namespaces() is not None

    def run(self, mode: Mode, layout: Layout, number: int) -> Run:
        options, kaggle = self._options, self._folder / "kaggle"
        tree = TreeOptions(
            link=self._is_namespaced,
            wheels=options.clean,
            model=not options.without_model,
            kaggle_files=options.kaggle_files,
        )
        build_tree(kaggle, self._bundle, self._config, layout, self._problems, tree)
        run = Run(mode, layout, number, options.without_model, problems=len(self._problems))
        run.session = self._play(mode, number)
        run.health = _read_json(kaggle / "working" / "health.json")
        run.fallbacks = run.health.get("fallbacks")
        lines = [json.loads(line) for line in self._log.read_text("utf-8").splitlines()] if self._log.exists() else []
        if connected := [line["connected"] for line in lines if "connected" in line]:
            run.seconds_to_serve = connected[0] - run.session.began
        judge_run(run, self._terms(kaggle / "working"), [line for line in lines if "kind" in line])
        return run

    def _terms(self, working: Path) -> Terms:
        return Terms(
            find_competition(self._config.competition),
            self._problems,
            working,
            self._seconds,
            self._config.protocol.startup_seconds,
            is_fault_injected=self._options.fault is not None,
            is_logged=self._options.kaggle_files is None,
        )

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
        seed = random.Random(f"{self._options.seed}/{number}").randrange(2**31)
        gateway = {
            "seed": seed,
            "call_seconds": self._options.call_seconds or self._seconds,
            "session_seconds": self._seconds,
            "startup_seconds": min(self._config.protocol.startup_seconds, self._seconds),
            "log": str(self._log),
        }
        reserve = min(10.0, 0.05 * self._seconds)
        settings = [f"budget.time_limit_seconds={self._seconds}", f"budget.reserve_seconds={reserve}"]
        options: dict[str, Any] = {"gateway": gateway, "settings": settings, "seed": seed}
        options["expected_problems"] = len(self._problems)
        if self._options.fault is not None:
            options["fault"] = self._options.fault
        return options | {"without_model": self._options.without_model}


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
            self._path = self._keep / self._name
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
