"""The bundle's own notebook, rehearsed with the scripted engine; `make rehearsal` does it with the embedded model, in a
clean environment."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from solver.errors import UsageError
from solver.types import Problem
from submission.bundle import BundleOptions, make_bundle, pack
from submission.config import load_preset
from submission.environment import find_python
from submission.errors import RehearsalError
from submission.faults import parse_fault
from submission.rehearse import RehearsalOptions, rehearse
from submission.verdict import Report, Run, classify, compare_runs
from submission.wheels import find_image
from tests.wheel_files import write_wheel

PROBLEMS = "id,problem,answer\na1,What is 6 times 7?,42\nb2,Add 40 and 2.,42\nc3,Halve 84.,42\n"


@pytest.fixture
def play(tmp_path: Path, session_ports: None) -> Any:
    """A problem has five seconds at the most, the run minutes."""
    config = load_preset("scripted")
    config.solver["budget"] |= {"base_seconds": 5, "cap_seconds": 5}
    bundle = make_bundle(config, BundleOptions(tmp_path / "bundle", wheels=False))
    problems = tmp_path / "problems.csv"
    problems.write_text(PROBLEMS, "utf-8")

    def play(mode: Any, **options: Any) -> Report:
        values: dict[str, Any] = {"layouts": ("new",), "runner": "script", "clean": False, "scored_runs": 1}
        values |= {"time_limit_seconds": 300.0} | options
        return rehearse(bundle, problems, RehearsalOptions(modes=(mode,), **values))

    return play


def test_the_notebook_serves_a_scored_run_through_an_engine_crash(play: Any) -> None:
    report = play("rerun", fault="engine-crash@2")
    run = report.runs[0]
    assert report.ok, [finding.line() for finding in report.all_findings]
    assert len(run.answers) == run.problems == 3
    assert run.health["restarts"] == 1
    assert run.seconds_to_serve is not None
    assert "health" in {finding.code for finding in report.all_findings}  # degraded, and says so


def test_the_notebook_passes_a_commit_run_in_a_real_kernel(play: Any) -> None:
    report = play("commit", runner="notebook", layouts=("m",))
    assert report.all_findings == []
    assert set(report.runs[0].answers) == {"000aaa", "111bbb", "222ccc"}


@pytest.mark.usefixtures("kaggle_ports")
def test_without_namespaces_the_tree_is_write_protected_and_names_do_not_resolve(play: Any) -> None:
    report = play("commit", use_namespaces=False)
    assert report.stage.startswith("no namespaces here")
    assert report.all_findings == []


def test_a_problem_that_hangs_in_a_commit_run_is_answered_in_time_and_told(play: Any) -> None:
    report = play("commit", fault="hang@1")
    assert len(report.runs[0].answers) == 3
    assert "fallbacks" in {finding.code for finding in report.all_findings}
    assert report.runs[0].health["fallbacks"] == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ValueError: signal only works in main thread of the main interpreter", "worker-thread"),
        ("gaierror: [Errno -3] Temporary failure in name resolution", "network"),
        ("OSError: [Errno 30] Read-only file system: '/kaggle/input/x'", "read-only"),
        ("CalledProcessError: Command '['python', '-m', 'pip', 'install']' returned 1", "wheels"),
        ("KeyError: 'x'", "notebook-error"),
    ],
)
def test_exceptions_are_told_by_what_they_mean(error: str, code: str) -> None:
    assert classify(error).code == code


def test_a_fault_is_named_with_its_problem() -> None:
    assert parse_fault("hang@2") == ("hang", 2)
    assert parse_fault("hang") == ("hang", 1)
    with pytest.raises(UsageError, match="did you mean 'hang'"):
        parse_fault("hand@2")
    with pytest.raises(UsageError, match="write it as hang@2"):
        parse_fault("hang@x")


@pytest.mark.usefixtures("session_ports")
def test_a_gpus_bundle_is_rehearsed_anywhere_without_its_model(tmp_path: Path) -> None:
    settings = {"kaggle.owner": "someone", "kaggle.model_source": "openai/gpt-oss-120b/transformers/default/1"}
    bundle = make_bundle(load_preset("aimo-3-h100", settings), BundleOptions(tmp_path / "bundle", wheels=False))
    problems = tmp_path / "problems.csv"
    problems.write_text(PROBLEMS, "utf-8")
    options = RehearsalOptions(layouts=("m",), runner="script", clean=False, time_limit_seconds=300.0)
    with pytest.raises(RehearsalError, match=r"lies on Kaggle alone: .* or rehearse all but the model with --without"):
        rehearse(bundle, problems, options)
    report = rehearse(bundle, problems, replace(options, without_model=True, fault="engine-crash@1"))
    assert [(run.mode, len(run.answers), run.fallbacks) for run in report.runs] == [("commit", 3, 0), ("rerun", 3, 0)]
    assert {finding.code for finding in report.all_findings} == {"health"}  # started again, and says so
    assert report.ok
    assert report.expected_score is None
    assert report.stage.endswith("texts in place of the model")


@pytest.mark.usefixtures("session_ports")
def test_a_rehearsal_in_this_environment_installs_nothing_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = make_bundle(load_preset("scripted"), BundleOptions(Path("bundle"), wheels=False))
    requirements = bundle / "wheels" / "requirements.txt"
    requirements.write_text("surely-not-installed==1.0\n", "utf-8")
    pack([write_wheel(tmp_path, "surely_not_installed"), requirements], bundle / "wheels" / "wheels.tarball")
    (tmp_path / "problems.csv").write_text(PROBLEMS, "utf-8")
    options = RehearsalOptions(("commit",), ("new",), runner="script", clean=False, time_limit_seconds=300.0)
    assert rehearse(bundle, Path("problems.csv"), options).all_findings == []
    assert find_spec("surely_not_installed") is None


@pytest.mark.usefixtures("session_ports")
@pytest.mark.parametrize("name", ["aimo-2", "aimo-3"])
def test_kaggles_own_files_take_our_notebook_in_both_modes(name: str, tmp_path: Path) -> None:
    folder = os.environ.get(f"KAGGLE_EVALUATION_{name.replace('-', '_').upper()}")
    if folder is None:
        pytest.skip("set KAGGLE_EVALUATION_AIMO_2 and _AIMO_3 to folders that hold Kaggle's own kaggle_evaluation")
    config = load_preset("scripted", {"competition": name})
    bundle = make_bundle(config, BundleOptions(tmp_path / "bundle", wheels=False))
    (tmp_path / "problems.csv").write_text(PROBLEMS, "utf-8")
    options = RehearsalOptions(
        layouts=("new",),
        scored_runs=1,
        runner="script",
        clean=False,
        time_limit_seconds=300.0,
        fault="exception@2",
        kaggle_files=Path(folder),
    )
    report = rehearse(bundle, tmp_path / "problems.csv", options)
    assert [(run.mode, len(run.answers)) for run in report.runs] == [("commit", 3), ("rerun", 3)]
    assert report.all_findings == []


def test_what_would_fail_after_minutes_is_told_at_once(play: Any, tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match="holds no wheels: rehearse it in this environment, with --here"):
        play("commit", clean=True)
    with pytest.raises(UsageError, match="--fault hang@4: there are only 3 problems"):
        play("commit", fault="hang@4")
    with pytest.raises(UsageError, match=r"--kaggle-files .*: there is no .*aimo_3_inference_server.py"):
        play("commit", kaggle_files=tmp_path)
    (tmp_path / "kept" / "commit-new-1").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"--keep .*kept is not empty"):
        play("commit", keep=tmp_path / "kept")


@pytest.mark.usefixtures("play")
def test_an_answer_that_the_contest_cannot_take_is_told_before_the_first_session(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "mine.csv").write_text("id,problem,answer\nfine,One.,1\nbig,Many.,100000\nopen,Any.,\n", "utf-8")
    options = RehearsalOptions(("commit",), (), clean=False)
    rehearse(tmp_path / "bundle", tmp_path / "mine.csv", options, lines.append)
    assert lines == [
        "problem big: its answer 100000 is outside aimo-3's 0 to 99999",
        "0 sessions, minutes each with a model; a line as each ends",
    ]


def test_a_bundle_for_a_python_that_is_not_here_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    other = next(name for name in ("py312", "py313") if find_image(name).version != sys.version_info[:2])
    with pytest.raises(RehearsalError, match="which this machine lacks: `uv python install 3"):
        find_python(find_image(other))


def test_the_command_line_tells_errors_in_one_line(tmp_path: Path) -> None:
    def submission(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "submission", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
        return done.returncode, done.stderr.strip()

    out = str(tmp_path / "bundle")
    code, said = submission("bundle", "--preset", "aimo-3-h100", "-o", out)
    assert code == 1
    assert said.startswith("error: preset aimo-3-h100 needs a model: --model DIR or --model-source OWNER/")
    assert "\n" not in said
    assert submission("bundle", "--preset", "aimo3", "-o", out)[0] == 2
    code, said = submission("rehearse", str(tmp_path), str(tmp_path / "none.csv"))
    assert code == 2
    assert "is no bundle" in said
    assert "\n" not in said
    code, said = submission("rehearse", str(tmp_path), str(tmp_path / "none.csv"), "--time-limit", "0s")
    assert (code, said) == (2, "error: --time-limit 0: must be more than nothing")
    assert "is no bundle" in submission("rehearse", str(tmp_path), str(tmp_path / "none.csv"), "--modes", "both")[1]
    (tmp_path / "submission.csv").write_text("id,answer\na,7.5\n", "utf-8")
    assert submission("check", str(tmp_path / "submission.csv"))[0] == 1


@pytest.mark.usefixtures("session_ports")
def test_a_rehearsal_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    bundle = make_bundle(load_preset("scripted"), BundleOptions(tmp_path / "bundle", wheels=False))
    (tmp_path / "problems.csv").write_text(PROBLEMS, "utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "submission", "rehearse", str(bundle), str(tmp_path / "problems.csv")]
    options = ["--here", "--script", "--modes", "rerun", "--fault", "hang@1", "--time-limit", "10m"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen([*command, *options], env=environment, cwd=Path(__file__).parent.parent)
    while process.poll() is None and not list(scratch.glob("rehearsal-*/notebook.log")):
        sleep(0.05)
    process.terminate()
    assert process.wait() == 143
    assert not list(scratch.glob("rehearsal-*"))


def test_what_the_notebook_imports_needs_nothing_of_what_makes_bundles() -> None:
    code = "import sys, submission.server; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=True
    )
    assert not {"grpc", "google", "nbformat", "nbclient", "packaging", "kaggle"} & set(done.stdout.split())


def test_a_run_is_scored_where_answers_are_known_and_the_model_gave_them() -> None:
    scored = Run("rerun", "new", right=1, problems=3, known=2)
    assert "1/2 right" in scored.line()
    for run in (Run("commit", "new", known=2), Run("rerun", "new"), Run("rerun", "new", is_played=True, known=2)):
        assert "answered" in run.line()
    problems = [Problem("a", "?", 1), Problem("b", "?", 2), Problem("c", "?")]
    first, second = (
        Run("rerun", "new", number, answers=answers, problems=3, known=2)
        for number, answers in ((1, {"a": 1, "b": 2, "c": 3}), (2, {"a": 1, "b": 5, "c": 3}))
    )
    report = Report([Run("commit", "new"), first, second])
    compare_runs(report, problems)
    assert (report.expected_score, report.best_score) == (1.5, 2)
    assert [finding.code for finding in report.findings] == ["runs-differ"]


def test_a_report_can_be_kept_as_json(play: Any) -> None:
    report = Report(stage="none")
    assert json.loads(json.dumps(report.as_record()))["ok"] is True
