"""Quantize a checkpoint with llm-compressor, then verify it and say what it cost.

llm-compressor 0.14 wants compressed-tensors 0.19 where vLLM 0.32 wants 0.17, so it has an environment of its own in the
user's cache. That one sees this environment's packages (torch above all) and has its own versions of what must differ.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from merge.checkpoint import TOKENIZER_FILES, Checkpoint, read_checkpoint
from merge.child import ROOT, python_code
from merge.errors import CheckpointError, MergeError
from merge.evaluate import EvaluateOptions, check_solver, evaluate, expected_answers
from merge.figures import Evaluation
from merge.identity import claim, differences, identify_model
from merge.output import check_disk, check_output, exclusive, publish
from merge.parents import Parent, copy_files
from merge.progress import Progress
from merge.provenance import describe_checkpoint, write_manifest, write_provenance
from merge.subject import Check
from merge.verify import verify
from solver.journal import set_aside

ENVIRONMENT_VERSION = "1"  # goes up with quantize-requirements.txt
_PIP = "import runpy; runpy.run_module('pip', run_name='__main__', alter_sys=True)"
# By its file, and this package's place last: where that is site-packages, it holds versions that the environment has
# otherwise; where it is a checkout, another version of this package may be installed.
_COMPRESS = """import runpy, sys
root = sys.argv.pop(1)
sys.path.append(root)
runpy.run_path(root + "/merge/compress.py", run_name="__main__")
"""
INT4_WARNING = (
    "four-bit weights cost long reasoning: 82.7 to 72.7 on AIME 24, 66.7 to 60.7 on AIME 25 "
    "(arXiv 2504.16891, table 9; fp8 lost nothing there)"
)


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    scheme: str = "fp8"
    calibration: Path | None = None
    make_environment: bool = False
    problems: Path | None = None
    """Solve these with the source and the result, and compare."""
    evaluation: EvaluateOptions = field(default_factory=lambda: EvaluateOptions(attempts=8))


def environment_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("olympiad-solver") / f"quantize-{ENVIRONMENT_VERSION}"


def quantize(source: Path, output: Path, options: QuantizeOptions) -> tuple[list[Check], str]:
    """Write the quantized checkpoint into `output`; returns what verification found, and a table of before and after.

    Raises:
        CheckpointError, MergeError: refused, or llm-compressor failed; nothing is left at `output`.
    """
    checkpoint = read_checkpoint(source)
    _check(checkpoint, options)
    with Progress() as progress:
        check_output(output)
        if options.scheme == "w4a16":
            progress.note(INT4_WARNING)
        with exclusive(output, progress.step) as work:
            check_output(output)
            check_disk(output, checkpoint.num_bytes)
            python = _environment(options, progress)
            progress.step(f"quantizing to {options.scheme}")
            _compress(python, checkpoint, work, options)
            progress.step("verifying")
            checks = _finish(checkpoint, work / "out", options)
            publish(work / "out", output)
        measured = _measure(source, output, options, progress)
    return checks, comparison(checkpoint, read_checkpoint(output), options, measured)


def _check(checkpoint: Checkpoint, options: QuantizeOptions) -> None:
    if checkpoint.is_quantized:
        raise CheckpointError(f"{checkpoint.folder} is quantized already: quantize the checkpoint it came from")
    if options.scheme == "nvfp4" and options.calibration is None:
        raise MergeError("nvfp4 learns the range of activations from texts: name some with --calibration texts.jsonl")
    if options.calibration is not None:
        _check_calibration(options.calibration)
    if options.problems is not None:
        expected_answers(options.problems)
        check_solver(options.evaluation, checkpoint.folder)


def _check_calibration(file: Path) -> None:
    try:
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise MergeError(f"cannot read the calibration texts {file}: {error.strerror}") from None
    except ValueError:
        raise MergeError(f"{file} is not JSON Lines: each line must be a JSON object with `text`") from None
    if not lines or not all(isinstance(line, dict) and isinstance(line.get("text"), str) for line in lines):
        raise MergeError(f"{file}: each line must be a JSON object with `text`")


def _environment(options: QuantizeOptions, progress: Progress) -> Path:
    """The interpreter of llm-compressor's environment, made where it is not there."""
    folder = environment_folder()
    python = folder / "bin" / "python"
    if python.exists():
        return python
    if not options.make_environment:
        raise MergeError(
            f"llm-compressor has an environment of its own, which is not there yet: add --make-environment to make "
            f"{folder} (about 450 MB, needs a package index)"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder, progress.step) as partial:
        if not python.exists():
            progress.step(f"making the environment {folder}")
            _make_environment(partial)
            shutil.rmtree(folder, ignore_errors=True)  # of a Python that is gone
            partial.rename(folder)  # its interpreter is found by its own path; the scripts in bin are not used
    return python


def _make_environment(partial: Path) -> None:
    import venv

    venv.create(partial, with_pip=True)
    library = next(partial.glob("lib/python*/site-packages"))
    seen = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    (library / "outer.pth").write_text("\n".join(seen) + "\n", "utf-8")
    requirements, python = resources.files("merge") / "quantize-requirements.txt", partial / "bin" / "python"
    with resources.as_file(requirements) as file:
        done = subprocess.run(
            python_code(_PIP, "install", "--disable-pip-version-check", "-q", "-r", str(file), python=python),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise MergeError(f"llm-compressor could not be installed: {lines[0] if lines else 'pip gave no reason'}")


def _compress(python: Path, source: Checkpoint, work: Path, options: QuantizeOptions) -> None:
    calibration = [str(options.calibration.resolve())] if options.calibration else []
    arguments = [str(source.folder.resolve()), str((work / "out").resolve()), options.scheme, *calibration]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONPATH", None)  # it would come before the environment's own packages
    with subprocess.Popen(
        python_code(_COMPRESS, str(ROOT), *arguments, python=python), cwd=work, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            _, errors = child.communicate()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode:
        lines = [line.strip() for line in errors.splitlines() if line.strip()] or [f"status {child.returncode}"]
        raise MergeError(f"llm-compressor failed: {lines[-1]}")


def _finish(source: Checkpoint, folder: Path, options: QuantizeOptions) -> list[Check]:
    copy_files(source.folder, folder, (*TOKENIZER_FILES, "generation_config.json"))
    parent = {"reference": str(source.folder), "base": describe_checkpoint(source), "adapter": None}
    write_provenance(folder, "quantize", scheme=options.scheme, parents=[parent])
    write_manifest(folder)
    checks = verify(folder, "full", [Parent(str(source.folder), source)])
    for check in checks:
        if check.status == "failed":
            raise MergeError(f"the result is wrong, and nothing was written: {check.name}: {check.text}")
    return checks


def _measure(source: Path, output: Path, options: QuantizeOptions, progress: Progress) -> list[Evaluation]:
    """Before and after; nothing where no problems are named. Journals stay beside the output."""
    if options.problems is None:
        return []
    found = []
    for name, model in (("before", source), ("after", output)):
        progress.step(f"solving, {name}")
        journal = output.parent / f"{output.name}.{name}.jsonl"
        identity = {"model": identify_model(model)} | options.evaluation.identity(options.problems)
        of = journal.with_suffix(".of.json")
        if differences(of, identity, journal):  # of what stood under this name before
            set_aside(journal)
        claim(of, identity, journal)
        found.append(evaluate(model, options.problems, journal, options.evaluation))
    return found


def comparison(before: Checkpoint, after: Checkpoint, options: QuantizeOptions, measured: Sequence[Evaluation]) -> str:
    """Markdown: size, and where problems were solved, accuracy and speed."""
    rows = [["GB of tensors", f"{before.num_bytes / 1e9:.3f}", f"{after.num_bytes / 1e9:.3f}"]]
    k = options.evaluation.attempts
    if measured:
        for name, label in (("maj", f"maj@{k} %"), ("pass", f"pass@{k} %"), ("pass1", "pass@1 %")):
            rows.append([label, *(it.figures[name].percent() for it in measured)])
        rows.append(["tokens a solution", *(it.figures["tokens"].number(0) for it in measured)])
        paces = [it.tokens_per_second for it in measured]
        rows.append(["tokens/s", *("not known (resumed)" if pace is None else f"{pace:.1f}" for pace in paces)])
    header = ["", f"before ({before.dtype})", f"after ({options.scheme})"]
    lines = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * 3, *rows)]
    if measured:
        lines += ["", f"{measured[0].num_problems} problems, {k} attempts each; 95 % intervals."]
    return "\n".join([*lines, ""])
