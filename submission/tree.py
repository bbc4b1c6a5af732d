"""The fake /kaggle of a rehearsed session: what the notebook's metadata attaches, in one of the mount layouts, and
nothing that is not attached.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from solver.types import Problem
from submission.bundle import ARCHIVE, pack
from submission.check import read_json
from submission.config import SubmissionConfig
from submission.errors import RehearsalError
from submission.mounts import Kind, Layout, mount_point
from submission.names import wheels_dataset
from submission.protocol import Protocol
from submission.standin import write_package


@dataclass(frozen=True)
class TreeOptions:
    link: bool
    """Files are linked, not copied: for a mount that keeps the notebook from writing into them."""
    wheels: bool = True
    """False: the archive holds no wheels, and the notebook's pip has nothing to install."""
    model: bool = True
    """False: a model that lies on Kaggle alone is an empty folder."""
    kaggle_files: Path | None = None
    """Kaggle's own kaggle_evaluation lies here, to be mounted in place of the stand-in."""


def build_tree(
    kaggle: Path,
    bundle: Path,
    config: SubmissionConfig,
    layout: Layout,
    problems: Sequence[Problem],
    options: TreeOptions,
) -> None:
    """Write `kaggle`/input and an empty `kaggle`/working.

    Raises:
        BundleError: it has no notebook's metadata.
        RehearsalError: a source that the notebook attaches is not in it.
    """
    inputs = kaggle / "input"
    (kaggle / "working").mkdir(parents=True)
    metadata = read_json(bundle / "notebook" / "kernel-metadata.json")
    for source in metadata.get("competition_sources", []):
        folder = _mounted(inputs, layout, "competition", source)
        _write_competition(folder, config.protocol, problems, options.kaggle_files)
    kinds: tuple[Kind, ...] = ("dataset", "model")
    for kind in kinds:
        for source in metadata.get(f"{kind}_sources", []):
            files = _find_files(bundle, config, source, options)
            folder = _mounted(inputs, layout, kind, source)
            if files is not None:
                _fill(folder, files, options)


def _mounted(inputs: Path, layout: Layout, kind: Kind, source: str) -> Path:
    folder = inputs / mount_point(layout, kind, source)
    folder.mkdir(parents=True)
    return folder


def _find_files(bundle: Path, config: SubmissionConfig, source: str, options: TreeOptions) -> Path | None:
    kaggle = config.kaggle
    local = {
        f"{kaggle.owner}/{wheels_dataset(config)}": bundle / "wheels",
        f"{kaggle.owner}/{kaggle.model_slug}": bundle / "model",
    }
    files = local.get("/".join(source.split("/")[:2]))
    if files is not None and files.is_dir():
        return files
    if options.model or source != kaggle.model_source:
        raise RehearsalError(
            f"{source} lies on Kaggle alone: make a bundle with --model DIR to rehearse it, "
            "or rehearse all but the model with --without-model"
        )
    return None


def _fill(folder: Path, files: Path, options: TreeOptions) -> None:
    for path in files.iterdir():  # sub-folders are left out, as the upload does
        if path.name == ARCHIVE and not options.wheels:
            _write_empty_archive(folder / ARCHIVE)
        elif path.is_file() and not path.name.endswith("-metadata.json"):
            _place(path, folder / path.name, link=options.link)


def _place(source: Path, destination: Path, *, link: bool) -> None:
    with contextlib.suppress(OSError):
        if link:
            destination.hardlink_to(source.resolve())
            return
    shutil.copy(source, destination)


def _write_empty_archive(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.touch()
        pack([requirements], path)


def _write_competition(
    folder: Path, protocol: Protocol, problems: Sequence[Problem], kaggle_files: Path | None
) -> None:
    ids = [problem.id for problem in problems]
    texts = [problem.text for problem in problems]
    table = pl.DataFrame({"id": ids, protocol.text_column: texts})
    table.write_csv(folder / "test.csv", quote_style="always")
    pl.DataFrame({"id": ids, "answer": [0] * len(ids)}).write_csv(folder / "sample_submission.csv")
    if kaggle_files is not None:
        shutil.copytree(kaggle_files / "kaggle_evaluation", folder / "kaggle_evaluation")
    else:
        write_package(folder, protocol)
