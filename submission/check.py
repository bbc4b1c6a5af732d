"""What can be told without running anything: of a submission file, of answers, of a bundle's metadata and code.

Kaggle's gateway checks neither type nor range, null or column of an answer; its client neither machine names nor paths
nor internet. Each finding says what that leads to.
"""

import ast
import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from solver.competition import Competition
from solver.errors import InputError, SolverError
from submission.bundle import ARCHIVE, OWN_NAME, cpu_builds, digest
from submission.config import SubmissionConfig, read_config
from submission.errors import BundleError
from submission.findings import Finding
from submission.names import PLACEHOLDER_OWNER, model_source, name_problems, title_problems, wheels_dataset
from submission.wheels import Wheel, find_image, judge_wheels

MACHINE_SHAPES = (
    "NvidiaTeslaP100",
    "NvidiaTeslaT4",
    "NvidiaTeslaT4Highmem",
    "NvidiaTeslaA100",
    "NvidiaL4",
    "NvidiaL4X1",
    "NvidiaH100",
    "NvidiaRtxPro6000",
    "TpuV38",
    "Tpu1VmV38",
    "TpuV5E8",
    "TpuV6E8",
)
_UNPACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".gz", ".bz2", ".xz", ".rar")
_TOP_LEVEL_FILES = 50
_INTEGERS = {"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"}
_LOADERS = {"from_pretrained", "LLM", "AsyncLLM", "AutoModelForCausalLM", "pipeline"}
_NETWORK_CALLS = {"snapshot_download", "hf_hub_download", "urlopen", "urlretrieve", "wget", "load_dataset"}


def check_table(table: pl.DataFrame, competition: Competition, ids: Sequence[str] | None = None) -> list[Finding]:
    """A submission as it would be scored; `ids` are those of the problems, where they are known."""
    if set(table.columns) != {"id", "answer"}:
        return [Finding("answer-value", f"columns {', '.join(table.columns)}: there must be id and answer")]
    findings = []
    dtype = str(table["answer"].dtype)
    if dtype not in _INTEGERS:
        findings.append(Finding("answer-value", f"answers are of type {dtype}, not whole numbers"))
    findings += [
        Finding("answer-value", f"problem {name}: {value!r} is no answer of {competition.name}")
        for name, value in table.select("id", "answer").iter_rows()
        if not _is_answer(value, competition)
    ][:5]
    twice = table["id"].filter(table["id"].is_duplicated()).unique().to_list()
    findings += [Finding("answer-value", f"problem {name} stands there twice") for name in twice[:5]]
    if ids is not None:
        there = {str(name) for name in table["id"].to_list()}
        missing, unknown = sorted(set(ids) - there), sorted(there - set(ids))
        findings += [Finding("answer-value", f"no row for problem {name}") for name in missing[:5]]
        findings += [Finding("answer-value", f"'{name}' is none of the problems' ids") for name in unknown[:5]]
    return findings


def check_submission(path: Path, competition: Competition, ids: Sequence[str] | None = None) -> list[Finding]:
    """Raises InputError where the file cannot be read."""
    if not path.exists():
        raise InputError(f"no {path}: name a bundle's folder or a submission file")
    try:
        table = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, schema_overrides={"id": pl.String})
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"cannot read the submission {path}: {str(error).splitlines()[0]}") from None
    return check_table(table, competition, ids)


def _is_answer(value: Any, competition: Competition) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and competition.admits(value) == value


def check_answers(answers: Iterable[Mapping[str, Any]], competition: Competition) -> list[Finding]:
    """The answers as they crossed the wire (`Answered.as_record`): their shape at every single call."""
    findings: dict[str, Finding] = {}
    shapes: dict[tuple[str, ...], str] = {}
    for answer in answers:
        where = f"problem {answer['number']} ({answer['id']})"
        if answer["kind"] != "polars_dataframe_value":
            what = answer["kind"].removesuffix("_value").replace("_", " ") or "nothing"
            findings.setdefault(
                "kind", Finding("answer-shape", f"{where}: predict returned {what}, not a polars frame")
            )
            continue
        if answer["rows"] != 1:
            findings.setdefault("rows", Finding("answer-shape", f"{where}: {answer['rows']} rows, there must be one"))
        shapes.setdefault((*answer["columns"],), where)
        if len(shapes) > 1:
            (first, at), (other, there), *_ = shapes.items()
            text = f"columns {', '.join(other)} at {there}, but {', '.join(first)} at {at}"
            findings.setdefault("columns", Finding("answer-shape", text))
        if "answer" not in answer["columns"] or "id" not in answer["columns"]:
            text = f"{where}: columns {', '.join(answer['columns'])}, there must be id and answer"
            findings.setdefault("names", Finding("answer-value", text))
        elif (dtype := answer["dtypes"][answer["columns"].index("answer")]) not in _INTEGERS:
            findings.setdefault("dtype", Finding("answer-value", f"{where}: the answer is of type {dtype}"))
    return list(findings.values())


def check_bundle(folder: Path) -> list[Finding]:
    """Raises BundleError or UsageError where it is no bundle."""
    config = read_config(folder / "wheels" / "submission.json")
    metadata = read_json(folder / "notebook" / "kernel-metadata.json")
    return [
        *_check_manifest(folder),
        *_check_names(config),
        *check_metadata(metadata, config),
        *check_datasets(folder),
        *_check_wheels(folder, config),
        *check_code(_code(folder / "notebook" / metadata.get("code_file", "notebook.ipynb"))),
    ]


def _check_names(config: SubmissionConfig) -> Iterator[Finding]:
    yield from (Finding("names", problem) for problem in name_problems(config))
    if config.kaggle.owner == PLACEHOLDER_OWNER:
        text = f"the owner is still '{PLACEHOLDER_OWNER}': make the bundle with --owner YOU before it is pushed"
        yield Finding("owner", text, "warning")


def check_metadata(metadata: Mapping[str, Any], config: SubmissionConfig) -> Iterator[Finding]:
    if str(metadata.get("enable_internet", True)).lower() != "false":
        yield Finding("internet", "enable_internet is not false (left out, it counts as true): write false")
    shape = metadata.get("machine_shape")
    needs_gpu = config.health.gpu is not None or str(metadata.get("enable_gpu", "")).lower() == "true"
    if needs_gpu and not shape:
        yield Finding("machine-shape", "no machine_shape: Kaggle gives the notebook its default GPU, a P100")
    elif shape and shape not in MACHINE_SHAPES:
        yield Finding(
            "machine-shape", f"machine_shape '{shape}' is none that Kaggle names: {', '.join(MACHINE_SHAPES)}"
        )
    elif shape and config.health.gpu and config.health.gpu.lower() not in shape.lower():
        yield Finding("machine-shape", f"machine_shape {shape}, but the preset is for {config.health.gpu}")
    attached = {
        str(source).lower() for kind in ("dataset", "model", "kernel") for source in metadata.get(f"{kind}_sources", [])
    }
    needed = [f"{config.kaggle.owner}/{wheels_dataset(config)}"]
    needed += [model_source(config)] if config.needs_model else []
    for source in needed:
        if source.lower() not in attached:
            yield Finding("source-missing", f"{source} is needed and not among the notebook's sources: add it")
    if config.protocol.slug not in metadata.get("competition_sources", []):
        yield Finding("source-missing", f"the competition {config.protocol.slug} is not attached")
    for source in metadata.get("model_sources", []):
        if source.count("/") != 4 or not source.rpartition("/")[2].isdigit():
            yield Finding("metadata", f"model source '{source}' is not owner/model/framework/variation/version")
    for problem in title_problems(str(metadata.get("title")), str(metadata.get("id")).rpartition("/")[2]):
        yield Finding("names", f"kernel-metadata.json: {problem}")
    if metadata.get("is_private") not in (True, "true"):
        yield Finding("metadata", "is_private is not true: the notebook would be public", "warning")


def check_datasets(folder: Path) -> Iterator[Finding]:
    for dataset in (folder / "wheels", folder / "model"):
        if not dataset.is_dir():
            continue
        entries = sorted(dataset.iterdir())
        for path in entries:
            if path.is_dir():
                name = path.relative_to(folder)
                yield Finding("sub-folder", f"{name} is a folder, which the upload leaves out: remove it")
            elif path.name.lower().endswith(_UNPACKED):
                yield Finding(
                    "unpacked-archive", f"{path.relative_to(folder)}: rename it, or the notebook will not find it"
                )
        if len(entries) > _TOP_LEVEL_FILES:
            yield Finding("top-level-files", f"{dataset.name} has {len(entries)} files at the top level")


def check_code(code: str) -> Iterator[Finding]:
    """The notebook's code, all cells together."""
    try:
        tree = ast.parse(re.sub(r"^([ \t]*)([%!].*)$", r"\1pass  # \2", code, flags=re.MULTILINE))
    except SyntaxError as error:
        yield Finding("notebook-error", f"the notebook's code does not parse: line {error.lineno}: {error.msg}")
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "/kaggle/input/" in node.value:
            yield Finding("literal-path", f"line {node.lineno}: '{node.value}' holds in one mount layout alone")
        elif isinstance(node, ast.ExceptHandler) and _is_silent(node):
            yield Finding(
                "broad-except", f"line {node.lineno}: an except that takes everything and tells nothing", "warning"
            )
    yield from _check_network(code, tree)
    yield from _check_loading(tree)


def _is_silent(handler: ast.ExceptHandler) -> bool:
    name = handler.type.id if isinstance(handler.type, ast.Name) else None
    takes_all = handler.type is None or name in ("Exception", "BaseException")
    tells = any(isinstance(node, ast.Raise | ast.Call) for statement in handler.body for node in ast.walk(statement))
    return takes_all and not tells


def _check_network(code: str, tree: ast.AST) -> Iterator[Finding]:
    if re.search(r"pip['\"]?,?\s+(?:\*?\w+|['\"]?install)", code) and "no-index" not in code:
        yield Finding("network", "pip install without --no-index asks the index, and there is no network")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _called(node)) in _NETWORK_CALLS:
            yield Finding("network", f"line {node.lineno}: {name} needs the network")
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.match(r"https?://(?!localhost|127\.)", node.value)
        ):
            yield Finding("network", f"line {node.lineno}: {node.value}")


def _check_loading(tree: ast.Module) -> Iterator[Finding]:
    """Models that are loaded while the cells run, not inside a function."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Call):
            name = _called(node)
            if name in ("serve", "run_local_gateway"):
                return
            if name in _LOADERS:
                text = f"line {node.lineno}: {name} before serve(): load in the background or in the first predict"
                yield Finding("load-before-serve", text, "warning")
        waiting[:0] = ast.iter_child_nodes(node)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _check_wheels(folder: Path, config: SubmissionConfig) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as scratch:
        wheels = unpack_wheels(folder, Path(scratch))
        if not wheels:
            yield Finding(
                "wheels", "the bundle holds no wheels and runs in this environment alone: make it without --no-wheels"
            )
            return
        try:
            read = [Wheel.read(path) for path in wheels]
        except SolverError as error:
            yield Finding("wheels", str(error))
            return
    roots = [OWN_NAME, *config.wheels.requirements]
    image = find_image(config.wheels.image)
    for problem in [*judge_wheels(read, roots, image, config.wheels.replaces), *cpu_builds(read, config)]:
        yield Finding("wheels", problem)


def unpack_wheels(bundle: Path, folder: Path) -> list[Path]:
    """Raises BundleError."""
    try:
        with tarfile.open(bundle / "wheels" / ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
    except FileNotFoundError:
        raise BundleError(f"{bundle}/wheels/{ARCHIVE} is missing: make the bundle again") from None
    except (OSError, tarfile.TarError) as error:
        raise BundleError(f"{bundle}/wheels/{ARCHIVE} cannot be read: {error}") from None
    return sorted(folder.glob("*.whl"))


def _check_manifest(folder: Path) -> Iterator[Finding]:
    manifest = read_json(folder / "manifest.json")
    for name, expected in manifest.items():
        path = folder / name
        if not path.is_file():
            yield Finding("manifest", f"{name} is missing: make the bundle again")
        elif digest(path) != expected:
            yield Finding("manifest", f"{name} was changed after the bundle was made: make it again")


def _code(notebook: Path) -> str:
    cells = read_json(notebook).get("cells", [])
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code")


def read_json(path: Path) -> dict[str, Any]:
    """Raises BundleError."""
    try:
        tree = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: make the bundle again") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from None
    if not isinstance(tree, dict):
        raise BundleError(f"{path} is no JSON object")
    return tree
