"""Where Kaggle mounts a notebook's inputs. Three layouts are in use; nothing here depends on which.

old     /kaggle/input/<slug>/..., models at <model>/<framework>/<variation>/<version>
m       as old, but models at m/<owner>/<model>/<framework>/<variation>/<version>
new     competitions/<slug>, datasets/<owner>/<slug>, models/<owner>/<model>/<framework>/<variation>/<version>
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from submission.errors import BundleError

Layout = Literal["old", "m", "new"]
LAYOUTS: tuple[Layout, ...] = ("old", "m", "new")
Kind = Literal["competition", "dataset", "notebook", "model"]
_NEW_FOLDERS = {"competition": "competitions", "dataset": "datasets", "notebook": "notebooks", "model": "models"}


def mount_point(layout: Layout, kind: Kind, source: str) -> Path:
    """Where `source` (a competition's slug, owner/slug, or owner/model/framework/variation/version) appears below
    /kaggle/input."""
    owner, _, rest = source.rpartition("/") if kind != "model" else (*source.partition("/"),)
    if kind == "competition":
        return Path(source) if layout != "new" else Path("competitions", source)
    if kind == "model":
        model, framework, *more = rest.split("/")
        path = Path(model, framework.lower(), *more)
        return {"old": path, "m": Path("m", owner) / path, "new": Path("models", owner) / path}[layout]
    return Path(_NEW_FOLDERS[kind], owner, rest) if layout == "new" else Path(rest)


def find_input(root: Path, kind: Kind, source: str) -> Path:
    """The folder of a source below `root`, in whichever layout.

    Raises:
        BundleError: it is not attached; the line says what is.
    """
    for layout in LAYOUTS:
        candidate = root / mount_point(layout, kind, source)
        for path in _same_but_for_case(root, candidate):
            return path
    there = ", ".join(sorted(str(path.relative_to(root)) for path in _two_levels(root))[:20]) or "nothing"
    raise BundleError(f"the {kind} {source} is not attached to this notebook: {root} holds {there}")


def _same_but_for_case(root: Path, path: Path) -> Iterator[Path]:
    """Kaggle writes frameworks in either case."""
    found = [root]
    for part in path.relative_to(root).parts:
        found = [child for folder in found for child in _children(folder) if child.name.lower() == part.lower()]
    yield from (folder for folder in found if folder.is_dir())


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _two_levels(root: Path) -> Iterator[Path]:
    for path in _children(root):
        yield from _children(path) if path.name in {*_NEW_FOLDERS.values(), "m"} else [path]
