"""`merge quantize`: what is refused, and what happens around llm-compressor; a stand-in writes in its place."""

import json
import shutil
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import merge.quantize
from merge.checkpoint import read_checkpoint
from merge.errors import MergeError
from merge.progress import Progress
from merge.provenance import read_provenance
from merge.quantize import QuantizeOptions, environment_folder, quantize
from solver.errors import SolverError
from tests.checkpoints import make_checkpoint
from tests.conftest import PROJECT
from tests.test_merge_verify import GOOD


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return make_checkpoint(tmp_path / "source")


def test_a_missing_environment_is_told_with_the_option_that_makes_it(source: Path) -> None:
    with pytest.raises(MergeError, match="not there yet: add --make-environment"):
        quantize(source, Path("out"), QuantizeOptions())
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (QuantizeOptions("nvfp4"), "name some with --calibration"),
        (QuantizeOptions("nvfp4", Path("none.jsonl")), "cannot read the calibration texts"),
        (QuantizeOptions("nvfp4", Path("source/config.json")), "each line must be a JSON object with `text`"),
        (QuantizeOptions(problems=Path("none.csv")), "none.csv"),
    ],
)
def test_what_cannot_be_quantized_is_refused_in_one_line(source: Path, options: QuantizeOptions, said: str) -> None:
    with pytest.raises(SolverError) as error:
        quantize(source, Path("out"), options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_quantized_source_is_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "q", quantization_config={"format": "x"})
    with pytest.raises(SolverError, match="is quantized already"):
        quantize(folder, tmp_path / "out", QuantizeOptions())


STAND_IN = """#!/bin/sh
if [ "$MERGE_FAULT" = yes ]; then echo "ValueError: no such layer" >&2; exit 1; fi
shift 4  # -P -c CODE ROOT
PYTHONPATH={project} exec {python} -c "
import sys
from pathlib import Path
from tests.test_merge_verify import quantize_rows
quantize_rows(Path(sys.argv[2]), Path(sys.argv[1]), 'I8', wrong='$MERGE_FAULT' == 'wrong')
(Path(sys.argv[2]) / 'tokenizer.json').unlink()
" "$@"
"""


def install_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    python = environment_folder() / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN.format(python=sys.executable, project=PROJECT), "utf-8")
    python.chmod(0o755)
    monkeypatch.setattr("merge.verify.probe_in_child", lambda models: [GOOD] * len(models))


def test_the_result_has_the_sources_tokenizer_and_is_compared_with_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(monkeypatch)
    checks, table = quantize(source, Path("out"), QuantizeOptions("w8a8"))
    assert {check.name: check.status for check in checks}["recomputed"] == "ok"
    assert all(check.status != "failed" for check in checks)
    assert read_checkpoint(Path("out")).is_quantized
    assert (Path("out") / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    provenance = read_provenance(Path("out"))
    assert provenance is not None
    assert (provenance["kind"], provenance["scheme"]) == ("quantize", "w8a8")
    assert "| GB of tensors | 0.000 | 0.000 |" in table


@pytest.mark.parametrize(
    ("fault", "said"), [("yes", "llm-compressor failed: ValueError: no such layer"), ("wrong", "wrong scales")]
)
def test_a_failure_leaves_nothing(source: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str) -> None:
    install_stand_in(monkeypatch)
    monkeypatch.setenv("MERGE_FAULT", fault)
    with pytest.raises(MergeError, match=said):
        quantize(source, Path("out"), QuantizeOptions("w8a8"))
    assert {path.name for path in Path.cwd().iterdir()} == {"source", "cache"}


def test_four_bits_are_warned_of_with_the_published_loss(
    source: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install_stand_in(monkeypatch)
    quantize(source, Path("out"), QuantizeOptions("w4a16"))
    assert "note: four-bit weights cost long reasoning: 82.7 to 72.7 on AIME 24" in capfd.readouterr().err


def test_an_environment_that_pip_cannot_make_is_told_and_not_taken_for_one(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: No matching distribution found for llmcompressor\n")
    monkeypatch.setattr("venv.create", lambda path, **_: (path / "lib/python3/site-packages").mkdir(parents=True))
    monkeypatch.setattr("merge.quantize.subprocess.run", lambda *_, **__: failed)
    with pytest.raises(MergeError, match="could not be installed: ERROR: No matching distribution"):
        quantize(source, Path("out"), QuantizeOptions(make_environment=True))
    assert not environment_folder().exists()


def packages(folder: Path, **modules: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    return folder


def make_environment(outer: Path, llmcompressor: str) -> None:
    """As `--make-environment` leaves one, with stand-ins for what pip installs."""
    venv.create(environment_folder())
    library = next(environment_folder().glob("lib/python*/site-packages"))
    (library / "outer.pth").write_text(f"{outer}\n", "utf-8")
    packages(library, llmcompressor=llmcompressor, compressed_tensors="WHOSE = 'the environment'")


def test_the_environments_own_packages_come_before_those_beside_this_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed by pip, this package lies in a folder that has another compressed-tensors."""
    outer = packages(tmp_path / "site-packages", compressed_tensors="WHOSE = 'vLLM'")
    shutil.copytree(Path(merge.quantize.__file__).parent, outer / "merge", ignore=shutil.ignore_patterns("miniature"))
    told = "import compressed_tensors, merge, sys; sys.exit(f'{compressed_tensors.WHOSE}, {merge.__path__[0]}')"
    make_environment(outer, told)
    monkeypatch.setattr(merge.quantize, "ROOT", outer)
    monkeypatch.setenv("PYTHONPATH", str(outer))
    with pytest.raises(MergeError, match=f"llm-compressor failed: the environment, {outer}/merge"):
        quantize(source, Path("out"), QuantizeOptions())


def test_what_a_killed_quantizing_left_is_cleared_before_the_disk_is_asked_for_room(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_stand_in(monkeypatch)
    rest = packages(Path(".out.partial"), half="") / "half.py"
    sizes = {True: 1000, False: 10**9}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, sizes[rest.exists()]))
    quantize(source, Path("out"), QuantizeOptions("w8a8"))
    assert {path.name for path in Path.cwd().iterdir()} == {"source", "cache", "out"}


def test_of_two_that_make_the_environment_one_does_and_the_other_finds_it(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(partial: Path) -> None:
        made.append(partial)
        time.sleep(0.2)
        packages(partial / "bin", python="").joinpath("python.py").rename(partial / "bin" / "python")

    monkeypatch.setattr(merge.quantize, "_make_environment", make)
    options = QuantizeOptions(make_environment=True)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: merge.quantize._environment(options, Progress()), range(2)))
    assert found == [environment_folder() / "bin" / "python"] * 2
    assert len(made) == 1
    assert [path.name for path in environment_folder().parent.iterdir()] == [environment_folder().name]


def test_the_pins_of_the_environment_are_exact() -> None:
    lines = (Path(merge.quantize.__file__).parent / "quantize-requirements.txt").read_text("utf-8").splitlines()
    assert all("==" in line for line in lines if not line.startswith("#"))
    assert json.dumps(lines).count("llmcompressor==") == 1
