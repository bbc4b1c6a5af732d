"""The twenty ways in which Kaggle submissions fail, each injected here; `README.md` has the table.

A bad notebook is put into a bundle and rehearsed, or a bad bundle is checked; the finding tells it.
"""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from solver.competition import find_competition
from submission.bundle import BundleOptions, make_bundle, pack
from submission.check import check_bundle, check_code, check_datasets, check_metadata, check_table
from submission.config import load_preset
from submission.errors import BundleError
from submission.findings import Finding
from submission.rehearse import RehearsalOptions, rehearse
from submission.verdict import Report
from tests.wheel_files import write_wheel

PROBLEMS = 'id,problem,answer\na1,What is 6 times 7?,42\nb2,"Add 40, then 2.",42\nc3,Halve 84.,42\nd4,Double 21.,42\n'

# How a competitor's own notebook begins and ends; what is between is the test's.
BEGIN = """
import os, signal, sys, time
from pathlib import Path
import polars as pl

inputs = Path(os.environ.get("OLYMPIAD_KAGGLE", "/kaggle"), "input")
competition = next(path.parent for path in inputs.rglob("kaggle_evaluation"))
sys.path.insert(0, str(competition))
from kaggle_evaluation.aimo_3_inference_server import AIMO3InferenceServer

count = 0

def frame(id_, answer):
    return pl.DataFrame({"id": id_, "answer": [answer]})

def predict(id_, problem):
    return frame(id_, 42)
"""
END = """
server = AIMO3InferenceServer(predict)
if os.getenv("KAGGLE_IS_COMPETITION_RERUN") is not None:
    server.serve()
else:
    server.run_local_gateway((str(competition / "test.csv"),))
"""


def predict(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{BEGIN}\ndef predict(id_, problem):\n    global count\n    count += 1\n{lines}\n{END}"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A sound one, without wheels."""
    return make_bundle(load_preset("scripted"), BundleOptions(tmp_path / "bundle", wheels=False))


@pytest.fixture
def play(bundle: Path, tmp_path: Path, session_ports: None) -> Callable[..., Report]:
    """Rehearse a notebook of the test's own; a plain process in place of the kernel starts faster."""

    def play(code: str, mode: Any = "rerun", seconds: float = 300, runs: int = 1, **options: Any) -> Report:
        path = bundle / "notebook" / "notebook.ipynb"
        notebook = json.loads(path.read_text("utf-8"))
        cell: dict[str, Any] = {
            "cell_type": "code",
            "execution_count": None,
            "id": "code",
            "metadata": {},
            "outputs": [],
        }
        notebook["cells"] = [cell | {"source": code}]
        path.write_text(json.dumps(notebook), "utf-8")
        (tmp_path / "problems.csv").write_text(PROBLEMS, "utf-8")
        values: dict[str, Any] = {
            "layouts": ("new",),
            "runner": "script",
            "clean": False,
            "scored_runs": runs,
        } | options
        values["modes"] = (mode,) if isinstance(mode, str) else mode
        limits = RehearsalOptions(time_limit_seconds=seconds, **values)
        return rehearse(bundle, tmp_path / "problems.csv", limits)

    return play


def codes(report: Report, severity: str = "failure") -> set[str]:
    return {finding.code for finding in report.all_findings if finding.severity == severity}


def metadata(bundle: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((bundle / "notebook" / "kernel-metadata.json").read_text("utf-8"))
    return tree


def test_a_sound_notebook_passes_in_both_modes(play: Any) -> None:
    report = play(BEGIN + END, mode=("commit", "rerun"))
    assert report.all_findings == []
    assert report.runs[1].right == report.runs[1].problems == 4


def test_01_a_mount_path_written_out_holds_in_one_layout_alone(play: Any) -> None:
    code = BEGIN + 'test = open("/kaggle/input/ai-mathematical-olympiad-progress-prize-3/test.csv")\n' + END
    assert {finding.code for finding in check_code(code)} == {"literal-path"}
    assert codes(play(code, mode="commit")) == {"literal-path"}


def test_02_a_source_that_is_not_attached(bundle: Path, play: Any) -> None:
    changed = metadata(bundle) | {"dataset_sources": []}
    assert "source-missing" in {finding.code for finding in check_metadata(changed, load_preset("scripted"))}
    (bundle / "notebook" / "kernel-metadata.json").write_text(json.dumps(changed), "utf-8")
    code = 'from submission.mounts import find_input\nfind_input(inputs, "dataset", "me/solver-wheels")\n'
    assert codes(play(BEGIN + code + END, mode="commit")) == {"source-missing"}


def test_03_no_machine_shape(bundle: Path) -> None:
    config = load_preset("aimo-3-h100")
    for shape in (None, "H100", "NvidiaTeslaP100"):
        changed = metadata(bundle) | {"enable_gpu": True, "machine_shape": shape}
        assert "machine-shape" in {finding.code for finding in check_metadata(changed, config)}
    right = metadata(bundle) | {"enable_gpu": True, "machine_shape": "NvidiaH100"}
    assert "machine-shape" not in {finding.code for finding in check_metadata(right, config)}


@pytest.mark.usefixtures("session_ports")
def test_03_another_gpu_than_the_presets_fails_the_commit_run(bundle: Path, tmp_path: Path) -> None:
    path = bundle / "wheels" / "submission.json"
    tree = json.loads(path.read_text("utf-8"))
    tree["health"]["gpu"] = "H100 of a kind that is not here"
    path.write_text(json.dumps(tree), "utf-8")
    (tmp_path / "problems.csv").write_text(PROBLEMS, "utf-8")
    options = RehearsalOptions(("commit",), ("new",), time_limit_seconds=300, runner="script", clean=False)
    report = rehearse(bundle, tmp_path / "problems.csv", options)
    assert codes(report) == {"health"}
    assert "set machine_shape in kernel-metadata.json" in report.all_findings[0].message


def test_04_internet_left_on_or_left_out(bundle: Path) -> None:
    config = load_preset("scripted")
    for value in (True, "true", None):
        changed = {**metadata(bundle), "enable_internet": value}
        assert "internet" in {finding.code for finding in check_metadata(changed, config)}
    left_out = metadata(bundle)
    del left_out["enable_internet"]
    assert "internet" in {finding.code for finding in check_metadata(left_out, config)}


def test_05_a_server_that_comes_too_late(play: Any) -> None:
    late = play(BEGIN + "time.sleep(600)\n" + END, seconds=3)
    assert codes(late) == {"late-serve"}
    loads = BEGIN + 'model = LLM("model")\n' + END
    assert {finding.code for finding in check_code(loads)} == {"load-before-serve"}


def test_06_no_submission_in_the_commit_run(play: Any) -> None:
    assert codes(play(BEGIN + "AIMO3InferenceServer(predict).serve()\n", mode="commit")) == {"no-submission"}


@pytest.mark.parametrize(
    "body",
    [
        "return 42",
        "return pl.Series([42])",
        "return frame(id_, 42) if count < 2 else pl.DataFrame({'answer': [0], 'id': id_})",
        "return frame(id_, 42) if count < 2 else 0",
    ],
    ids=["int", "series", "other column order in the fallback", "int in the fallback"],
)
def test_07_answers_that_cannot_be_put_together(body: str, play: Any) -> None:
    report = play(predict(body))
    assert codes(report) == {"answer-shape"}
    assert report.runs[0].answers == {}


def test_08_an_answer_that_is_none(play: Any) -> None:
    assert codes(play(predict("return frame(id_, '42')"), mode="commit")) == {"answer-value"}


@pytest.mark.parametrize("value", ["42", 42.0, None, -7, 123_456, True])
def test_08_values_that_are_no_answers(value: Any) -> None:
    table = pl.DataFrame({"id": ["a", "b"], "answer": [value, value]})
    assert {finding.code for finding in check_table(table, find_competition("aimo-3"))} == {"answer-value"}


def test_08_a_table_that_is_not_id_and_answer() -> None:
    competition = find_competition("aimo-3")
    assert check_table(pl.DataFrame({"id": ["a"], "answer": [42]}), competition, ["a"]) == []
    for table, ids in (
        ({"id": ["a"], "prediction": [42]}, ["a"]),
        ({"id": ["a", "a"], "answer": [42, 42]}, ["a"]),
        ({"id": ["a"], "answer": [42]}, ["a", "b"]),
        ({"id": ["a", "c"], "answer": [42, 1]}, ["a"]),
    ):
        assert {finding.code for finding in check_table(pl.DataFrame(table), competition, ids)} == {"answer-value"}


def test_09_an_exception_at_one_problem(play: Any) -> None:
    report = play(predict("return frame(id_, 42 // (3 - count))"))
    assert codes(report) == {"server-raised"}
    assert report.runs[0].answers == {}


@pytest.mark.parametrize("body", ["sys.exit(1)", "time.sleep(600)"])
def test_10_a_predict_that_never_answers(body: str, play: Any) -> None:
    assert codes(play(predict(body), call_seconds=2)) == {"no-answer"}


def test_10_a_process_that_dies(play: Any) -> None:
    assert codes(play(predict("os._exit(1)"))) == {"server-died"}


def test_11_too_slow_for_the_time_limit(play: Any) -> None:
    body = "time.sleep(600 if count > 2 else 0)\nreturn frame(id_, 42)"
    report = play(predict(body), seconds=12, call_seconds=600)  # in twelve, a slow machine too serves and is asked
    assert codes(report) == {"notebook-timeout"}


@pytest.mark.parametrize(
    "body", ["signal.alarm(5)\nsignal.signal(signal.SIGALRM, print)", "import asyncio\nasyncio.get_event_loop()"]
)
def test_12_what_works_in_the_main_thread_alone(body: str, play: Any) -> None:
    assert codes(play(predict(body))) == {"worker-thread"}


def test_13_wheels_for_another_python(tmp_path: Path) -> None:
    config = load_preset("scripted", {"wheels.image": "py312"})
    bundle = make_bundle(config, BundleOptions(tmp_path / "bundle", wheels=False))
    only = write_wheel(tmp_path, "fast", tag="cp311-cp311-manylinux_2_28_x86_64")
    own = write_wheel(tmp_path, "olympiad_solver", requires=["fast>=1", "missing>=2"])
    pack([own, only], bundle / "wheels" / "wheels.tarball")
    messages = sorted(finding.message for finding in check_bundle(bundle) if finding.code == "wheels")
    assert messages == [
        "missing: olympiad-solver needs missing>=2, and there is no wheel of it",
        f"wrong tag: olympiad-solver needs fast>=1, and {only.name} is not for Python 3.12 on glibc 2.35",
    ]


def test_14_the_network_at_run_time(play: Any) -> None:
    code = BEGIN + 'import urllib.request\nurllib.request.urlopen("https://example.invalid/model")\n' + END
    assert {finding.code for finding in check_code(code)} == {"network"}
    assert codes(play(code, mode="commit")) == {"network"}
    pip = 'import subprocess\nsubprocess.run(["pip", "install", "vllm"])\n'
    assert {finding.code for finding in check_code(pip)} == {"network"}


def test_a_cells_magic_is_read_as_a_notebook_reads_it() -> None:
    code = BEGIN + "\n\n!pip install vllm\nif True:\n    %time x = 1\n" + END
    assert {finding.code for finding in check_code(code)} == {"network"}
    assert [finding.message for finding in check_code("x = 1\ny = (")] == [
        "the notebook's code does not parse: line 2: '(' was never closed"
    ]


def test_15_writing_to_the_inputs(play: Any) -> None:
    assert codes(play(BEGIN + '(competition / "cache").write_text("x")\n' + END, mode="commit")) == {"read-only"}


def test_15_files_left_in_the_working_folder(play: Any) -> None:
    report = play(BEGIN + 'Path("core.1").write_text("x")\n' + END, mode="commit")
    assert codes(report, "warning") == {"working-size"}
    assert codes(report) == set()
    huge = play(BEGIN + 'open("cache", "wb").truncate(21 * 10**9)\n' + END, mode="commit")  # a sparse one
    assert codes(huge) == {"working-size"}


def test_16_a_server_that_is_started_twice(play: Any) -> None:
    twice = BEGIN + END + 'server.run_local_gateway((str(competition / "test.csv"),))\n'
    assert codes(play(twice, mode="commit")) == {"server-twice"}


def test_17_two_scored_runs_that_differ(play: Any) -> None:
    report = play(predict("return frame(id_, 42 if id_[0] < 'c' else os.getpid())"), runs=2)
    assert codes(report, "warning") == {"runs-differ"}
    assert report.expected_score == 2.0


def test_18_code_that_knows_the_visible_test(play: Any) -> None:
    body = "return frame(id_, {'000aaa': 0, '111bbb': 0, '222ccc': 0}[id_[0]])"
    assert codes(play(predict(body), mode=("commit", "rerun"))) == {"server-raised", "unknown-ids"}


@pytest.mark.parametrize(
    ("title", "slug"), [("Olympiad Solver", "another-slug"), ("Olympiad Solver", "olympiad_solver"), ("Solve", "solve")]
)
def test_19_names_that_kaggle_changes_or_refuses(title: str, slug: str, tmp_path: Path) -> None:
    config = load_preset("scripted", {"kaggle.title": title, "kaggle.slug": slug})
    with pytest.raises(BundleError):
        make_bundle(config, BundleOptions(tmp_path / "bundle", wheels=False))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("title", ["Another Title", "My_Solver"])
def test_19_a_title_changed_by_hand(title: str, bundle: Path) -> None:
    changed = metadata(bundle) | {"title": title}
    assert [finding.code for finding in check_metadata(changed, load_preset("scripted"))] == ["names"]


def test_20_a_folder_that_the_upload_leaves_out(bundle: Path) -> None:
    (bundle / "wheels" / "prompts").mkdir()
    (bundle / "wheels" / "prompts" / "tir.txt").write_text("x", "utf-8")
    assert [finding.code for finding in check_datasets(bundle)] == ["sub-folder"]


def test_a_sound_bundle_has_no_findings_but_the_missing_wheels(bundle: Path) -> None:
    assert [finding.code for finding in check_bundle(bundle)] == ["owner", "wheels"]


def test_the_readmes_table_names_each_failure_with_its_finding_and_its_test() -> None:
    text = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| .+? \| (.+?) \| `(test_\w+)` \|$", text, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 21))
    for number, here, name in rows:
        first, *others = re.findall(r"`([a-z-]+)`", here)
        assert name.startswith(f"test_{int(number):02}_"), f"{name} injects another failure than {number}"
        assert name in globals(), f"{name} is not in this file"
        assert f'"{first}"' in inspect.getsource(globals()[name]), f"{name} does not look for {first}"
        assert all(Finding(code, "").on_kaggle for code in [first, *others]), f"no finding {others}"
