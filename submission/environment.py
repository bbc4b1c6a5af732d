"""The clean environment of a rehearsed notebook: a notebook image's profile and nothing else. It is made once for each
profile and kept in the user's cache; each session gets a copy of hard links, and the notebook installs the bundle's
wheels into that.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

from submission.errors import RehearsalError
from submission.wheels import Image, download, resolve

_CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"


def prepare_environment(image: Image) -> Path:
    """The profile's environment. Needs the package index the first time.

    Raises:
        RehearsalError: this machine has no such Python, or the environment cannot be made.
    """
    python = find_python(image)
    constraints = _constraints(image)
    key = hashlib.sha256("\n".join([python, *image.packages, *constraints]).encode()).hexdigest()[:12]
    folder = user_cache_path("olympiad-solver") / "images" / f"{image.name}-{key}"
    if (folder / ".ready").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    wheels = user_cache_path("olympiad-solver") / "wheels" / image.name
    pins = resolve(image.packages, image, constraints)
    paths = download(pins, image, wheels)
    _run([python, "-m", "venv", "--without-pip", str(folder)])
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    _run([*install, "--no-index", "--no-deps", *map(str, paths)])
    (folder / ".ready").write_text("\n".join(pins) + "\n", "utf-8")
    return folder


def copy_environment(source: Path, destination: Path) -> Path:
    """Its interpreter. Files are linked, not copied: pip replaces a file, and never writes into one."""
    shutil.copytree(source, destination, symlinks=True, copy_function=_link)
    return destination / "bin" / "python"


def find_python(image: Image) -> str:
    """Raises RehearsalError."""
    if sys.version_info[:2] == image.version:
        return str(Path(sys.base_prefix, "bin", f"python{image.python}"))
    for candidate in (shutil.which(f"python{image.python}"), _uvs_python(image)):
        if candidate and _printed(candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == image.python:
            return candidate
    raise RehearsalError(
        f"the bundle is for Python {image.python}, which this machine lacks: "
        f"`uv python install {image.python}`, or rehearse in this environment with --here"
    )


def _uvs_python(image: Image) -> str:
    """One that `uv python install` has made; empty where there is none."""
    options = ("--no-python-downloads", "--managed-python")
    return _printed(sys.executable, "-m", "uv", "python", "find", *options, image.python)


def _printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _constraints(image: Image) -> list[str]:
    """This repository's versions, where they were checked: on this interpreter."""
    if sys.version_info[:2] != image.version or not _CONSTRAINTS.is_file():
        return []
    named = {requirement.partition("==")[0] for requirement in image.packages if "==" in requirement}
    lines = _CONSTRAINTS.read_text("utf-8").splitlines()
    return [line for line in lines if line.partition("==")[0] not in named]


def _link(source: str, destination: str) -> str:
    try:
        Path(destination).hardlink_to(source)
    except OSError:
        shutil.copy2(source, destination)
    return destination


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RehearsalError(f"the image's environment cannot be made: {' '.join(done.stderr.split())[-300:]}")
