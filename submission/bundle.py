"""A preset and a checkpoint become what is uploaded to Kaggle: the same bytes for the same inputs.

    OUT/notebook/  notebook.ipynb, kernel-metadata.json
    OUT/wheels/    a dataset: submission.json, requirements.txt, wheels.tarball, dataset-metadata.json
    OUT/model/     a dataset or a Kaggle model, where the checkpoint is a local folder
    OUT/README.md, OUT/manifest.json (SHA-256 of every file)

The archive's suffix is none that Kaggle knows: datasets unpack what they know, and drop sub-folders by default.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import nbformat
from platformdirs import user_cache_path

from solver.model import check_model
from submission.config import SubmissionConfig
from submission.errors import BundleError
from submission.names import model_source, name_problems, wheels_dataset
from submission.wheels import Image, Wheel, build_own_wheel, download, find_image, judge_wheels, resolve

TEMPLATES = Path(__file__).parent.parent / "kaggle"
OWN_NAME = "olympiad-solver"
ARCHIVE = "wheels.tarball"
_LINKED_BYTES = 64 * 2**20
_CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"


@dataclass(frozen=True)
class BundleOptions:
    out: Path
    model: Path | None = None
    """A local folder; None where the preset needs none or the model lies on Kaggle."""
    wheels: bool = True
    """False: leave them out, for a rehearsal in this environment."""


def make_bundle(config: SubmissionConfig, options: BundleOptions) -> Path:
    """Write the bundle. Nothing is written where anything is wrong.

    Raises:
        BundleError, UsageError, ModelError: in one line.
    """
    check_inputs(config, options)
    image = find_image(config.wheels.image)
    config = config.on_image(image.name)
    with tempfile.TemporaryDirectory() as built:
        wheels = _collect_wheels(config, image, Path(built)) if options.wheels else []
        try:
            _write_bundle(config, image, wheels, options)
        except OSError as error:
            raise BundleError(f"{options.out} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return options.out


def _write_bundle(config: SubmissionConfig, image: Image, wheels: list[Path], options: BundleOptions) -> None:
    """Beside its place and moved there: it is whole, or not there."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=f".{options.out.name}.") as scratch:
        folder = Path(scratch, "bundle")
        folder.mkdir()
        _write_notebook(config, folder / "notebook")
        _write_wheels(config, image, wheels, folder / "wheels")
        if options.model is not None:
            _write_model(config, options.model, folder / "model")
        _write_readme(config, image, folder)
        _write_manifest(folder)
        if options.out.exists():
            options.out.rmdir()  # empty, as was checked
        folder.rename(options.out)


def check_inputs(config: SubmissionConfig, options: BundleOptions) -> None:
    """What Kaggle or a run would refuse, before anything is resolved or written."""
    if options.out.exists() and not options.out.is_dir():
        raise BundleError(f"{options.out} is a file: name a new folder with -o")
    if options.out.exists() and any(options.out.iterdir()):
        raise BundleError(f"{options.out} is not empty: name a new folder with -o")
    above = next(folder for folder in options.out.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BundleError(f"{options.out} cannot be made: {above} is no folder that can be written to")
    for problem in name_problems(config):
        raise BundleError(problem)
    if not TEMPLATES.is_dir():
        raise BundleError(f"no {TEMPLATES}: make bundles from a checkout of the source")
    if options.model is not None:
        check_model(options.model)
        if config.kaggle.model_source is not None:
            raise BundleError("--model and --model-source: give one of them")
    if not config.needs_model and (options.model is not None or config.kaggle.model_source is not None):
        raise BundleError(f"preset {config.name} plays texts in place of a model: leave the model out")
    if options.model is None and config.needs_model and config.kaggle.model_source is None:
        embedded = "--model embedded, " if config.name == "miniature" else ""
        raise BundleError(
            f"preset {config.name} needs a model: {embedded}--model DIR or "
            "--model-source OWNER/MODEL/FRAMEWORK/VARIATION/VERSION"
        )


def _collect_wheels(config: SubmissionConfig, image: Image, folder: Path) -> list[Path]:
    """Everything that the notebook installs; our own wheel is built into `folder`. Raises BundleError where it does
    not fit the image."""
    cache = user_cache_path("olympiad-solver") / "wheels"
    own = build_own_wheel(folder)
    roots = [OWN_NAME, *config.wheels.requirements]
    pins = [f"{name}=={version}" for name, version in image.pins.items() if name not in config.wheels.replaces]
    known = _CONSTRAINTS.read_text("utf-8").splitlines() if config.wheels.constrained else []
    resolved = resolve([f"{OWN_NAME} @ {own.as_uri()}", *config.wheels.requirements], image, [*known, *pins])
    names = {name for name in image.pins if name not in config.wheels.replaces}
    wanted = [pin for pin in resolved if not pin.startswith(OWN_NAME) and pin.partition("==")[0] not in names]
    paths = [own, *download(wanted, image, cache / image.name)]
    read = [Wheel.read(path) for path in paths]
    problems = [*judge_wheels(read, roots, image, config.wheels.replaces), *cpu_builds(read, config)]
    if problems:
        raise BundleError(f"the wheels do not fit {image.name}: {problems[0]}")
    return paths


def cpu_builds(wheels: Iterable[Wheel], config: SubmissionConfig) -> list[str]:
    """Wheels that would leave a GPU idle: pip takes a `+cpu` build for a newer version, wherever it is told to look."""
    if config.health.gpu is None:
        return []
    return [
        f"{wheel.filename} is a build for CPUs, and {config.name} is for {config.health.gpu}: see `pip config list`"
        for wheel in wheels
        if wheel.version.local == "cpu"
    ]


def _write_notebook(config: SubmissionConfig, folder: Path) -> None:
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    source = _fill((TEMPLATES / "notebook.py").read_text("utf-8"), config)
    for part in source.split("\n# %% ")[1:]:
        name, _, text = part.partition("\n")
        if name == "[markdown]":
            text = text.strip().removeprefix("# ")
            cell = nbformat.v4.new_markdown_cell(text, id="about")
        else:
            cell = nbformat.v4.new_code_cell(text.strip(), id=name)
        notebook.cells.append(cell)
    nbformat.validate(notebook)
    (folder / "notebook.ipynb").write_text(nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n", "utf-8")
    _write_json(folder / "kernel-metadata.json", _kernel_metadata(config))


def _kernel_metadata(config: SubmissionConfig) -> dict[str, Any]:
    kaggle = config.kaggle
    metadata: dict[str, Any] = json.loads(_fill((TEMPLATES / "kernel-metadata.json").read_text("utf-8"), config))
    if kaggle.machine_shape is not None:
        metadata |= {"enable_gpu": True, "machine_shape": kaggle.machine_shape}
    if kaggle.docker_image is not None:
        metadata["docker_image"] = kaggle.docker_image
    if config.needs_model:
        source = model_source(config)
        metadata["model_sources" if source.count("/") == 4 else "dataset_sources"].append(source)
    return metadata


def _write_wheels(config: SubmissionConfig, image: Image, wheels: list[Path], folder: Path) -> None:
    folder.mkdir()
    lines = [f"{wheel.name}=={wheel.version}" for wheel in map(Wheel.read, wheels)]
    requirements = "".join(f"{line}\n" for line in sorted(lines))
    (folder / "requirements.txt").write_text(requirements, "utf-8")
    pack([*wheels, folder / "requirements.txt"], folder / ARCHIVE)
    _write_json(folder / "submission.json", config.model_dump(mode="json"))
    _write_dataset_metadata(config, folder, wheels_dataset(config), f"{config.kaggle.title} wheels", "apache-2.0")


def pack(files: list[Path], archive: Path) -> None:
    """A tar that does not tell when or by whom it was made."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files, key=lambda path: path.name):
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)


def _write_model(config: SubmissionConfig, model: Path, folder: Path) -> None:
    folder.mkdir()
    for path in sorted(model.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            _place(path, folder / path.name)
    kaggle = config.kaggle
    if kaggle.model_kind == "dataset":
        _write_dataset_metadata(config, folder, kaggle.model_slug, f"{kaggle.title} model", kaggle.model_license)
        return
    values = {"dataset": kaggle.model_slug, "license": kaggle.model_license, "title": f"{kaggle.title} model"}
    for name in ("model-metadata.json", "model-instance-metadata.json"):
        _write_json(folder / name, json.loads(_fill((TEMPLATES / name).read_text("utf-8"), config, **values)))


def _place(source: Path, destination: Path) -> None:
    """Weights may have a hundred gigabytes and are linked; what one might edit is copied."""
    if source.stat().st_size >= _LINKED_BYTES:
        with contextlib.suppress(OSError):
            os.link(source.resolve(), destination)
            return
    shutil.copy(source, destination)


def left_out(model: Path) -> list[str]:
    """What of a model's folder does not travel: Kaggle's upload takes no sub-folders."""
    return sorted(path.name for path in model.iterdir() if path.is_dir() and not path.name.startswith("."))


def _write_dataset_metadata(config: SubmissionConfig, folder: Path, slug: str, title: str, license_name: str) -> None:
    template = (TEMPLATES / "dataset-metadata.json").read_text("utf-8")
    filled = _fill(template, config, dataset=slug, title=title, license=license_name)
    _write_json(folder / "dataset-metadata.json", json.loads(filled))


def _write_readme(config: SubmissionConfig, image: Image, folder: Path) -> None:
    model = f"the model {model_source(config)}" if config.needs_model else "no model"
    text = f"""# {config.kaggle.title}

Made by `python -m submission bundle` from the preset {config.name}: {config.competition}, wheels for {image.name}
(Python {image.python}), {model}.

    python -m submission check .
    python -m submission rehearse . PROBLEMS.csv
    python -m submission push . --dry-run
"""
    (folder / "README.md").write_text(text, "utf-8")


def _write_manifest(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    _write_json(folder / "manifest.json", {str(path.relative_to(folder)): digest(path) for path in files})


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(template: str, config: SubmissionConfig, **values: str) -> str:
    kaggle = config.kaggle
    known = {
        "owner": kaggle.owner,
        "slug": kaggle.slug,
        "title": kaggle.title,
        "dataset": wheels_dataset(config),
        "competition": config.protocol.slug,
        "license": kaggle.model_license,
        "framework": kaggle.framework,
    }
    return Template(template).substitute(known | values)


def _write_json(path: Path, tree: Any) -> None:
    path.write_text(json.dumps(tree, indent=2) + "\n", "utf-8")
