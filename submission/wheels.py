"""A bundle's wheels: resolved for the notebook image's Python, not for this one, downloaded, and judged before Kaggle.

pip evaluates environment markers on the machine it runs on, so a list that pip resolves for another Python lacks
packages; `uv pip compile` resolves for the target, and pip then downloads each pin alone.
"""

import email
import email.message
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path

from packaging import tags
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from solver.errors import UsageError, nearest
from submission.errors import BundleError

_SOURCE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Image:
    """A notebook image: its Python, its C library, what it pins."""

    name: str
    python: str
    glibc: str
    pins: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()

    @property
    def version(self) -> tuple[int, int]:
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def uv_platform(self) -> str:
        return f"x86_64-manylinux_{self.glibc.replace('.', '_')}"

    @property
    def platforms(self) -> list[str]:
        """Wheel platforms that its C library can load, newest first."""
        newest = int(self.glibc.rpartition(".")[2])
        modern = [f"manylinux_2_{minor}_x86_64" for minor in range(newest, 4, -1)]
        return [*modern, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]

    @cached_property
    def tags(self) -> frozenset[tags.Tag]:
        interpreter = f"cp{self.python.replace('.', '')}"
        return frozenset(
            [
                *tags.cpython_tags(self.version, [interpreter], self.platforms),
                *tags.compatible_tags(self.version, interpreter, self.platforms),
            ]
        )

    def marker_environment(self, extra: str = "") -> dict[str, str]:
        return {
            **{key: str(value) for key, value in default_environment().items()},
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "extra": extra,
        }


def find_image(name: str) -> Image:
    """`host` is the profile of this interpreter's version. Raises UsageError."""
    profiles = tomllib.loads((resources.files("submission") / "images.toml").read_text("utf-8"))
    if name == "host":
        name = f"py{sys.version_info.major}{sys.version_info.minor}"
    if name not in profiles:
        raise UsageError(f"no image profile '{name}': {nearest(name, [*profiles, 'host'])}")
    values = profiles[name]
    return Image(name, values["python"], values["glibc"], values["pins"], tuple(values["packages"]))


def resolve(requirements: Sequence[str], image: Image, constraints: Iterable[str] = ()) -> list[str]:
    """Pins (name==version) of everything that `requirements` need on `image`.

    Raises:
        BundleError: they cannot all be had together; the line is uv's reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "constraints.txt").write_text("\n".join(constraints) + "\n", "utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
        command += ["--python-version", image.python, "--python-platform", image.uv_platform]
        # Nothing is built; left to itself uv looks for the image's Python, over the network too.
        command += ["--python", sys.executable, "--no-build", "--no-config"]
        command += ["--index-strategy", "unsafe-best-match", *_sources()]
        command += ["--constraint", f"{folder}/constraints.txt", "-"]
        done = subprocess.run(command, input="\n".join(requirements), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())
        raise BundleError(f"the wheels for {image.name} cannot be resolved: {reason[-400:]}")
    return [line for line in done.stdout.splitlines() if line.strip()]


def download(pins: Sequence[str], image: Image, folder: Path) -> list[Path]:
    """The wheel of each pin in `folder`; those that are there already are not fetched again.

    Raises:
        BundleError: a pin has no wheel for the image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [pin for pin in pins if _wheel_of(pin, folder, image) is None]
    if missing:
        abi = f"cp{image.python.replace('.', '')}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--dest", str(folder), "--python-version", image.python, "--implementation", "cp"]
        command += [part for value in (abi, "abi3", "none") for part in ("--abi", value)]
        command += [part for value in image.platforms for part in ("--platform", value)]
        done = subprocess.run([*command, *missing], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr[-300:])
            raise BundleError(f"no wheel for {image.name}: {reason.removeprefix('ERROR: ')}")
    return sorted(path for pin in pins if (path := _wheel_of(pin, folder, image)) is not None)


def build_own_wheel(folder: Path, source: Path = _SOURCE) -> Path:
    """This package's own wheel, the same bytes for the same source.

    Raises:
        BundleError: this is not a source checkout, or the build fails.
    """
    if not (source / "pyproject.toml").is_file():
        raise BundleError(f"{source} has no pyproject.toml: make bundles from a checkout of the source")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "source")  # a build writes into its source, and takes what an earlier one left there
        copy.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(source / name, copy)
        for name in ("solver", "submission", "merge"):
            if (source / name).is_dir():
                shutil.copytree(source / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}  # the first moment that a zip can hold
        command += ["--wheel-dir", f"{scratch}/built"]
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        built = list(Path(scratch).glob("built/*.whl"))
        if done.returncode != 0 or not built:
            raise BundleError(f"the solver's own wheel cannot be built: {' '.join(done.stderr.split())[-300:]}")
        return Path(shutil.copy(built[0], folder))


@dataclass(frozen=True)
class Wheel:
    """What a wheel's name and metadata say."""

    filename: str
    name: str
    version: Version
    tags: frozenset[tags.Tag]
    metadata: email.message.Message

    @classmethod
    def read(cls, path: Path) -> "Wheel":
        """Raises BundleError."""
        try:
            name, version, _, wheel_tags = parse_wheel_filename(path.name)
            with zipfile.ZipFile(path) as archive:
                inside = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
                metadata = email.message_from_bytes(archive.read(inside))
        except (InvalidWheelFilename, zipfile.BadZipFile, StopIteration, OSError) as error:
            raise BundleError(f"{path.name} is no wheel: {error}") from None
        return cls(path.name, name, version, wheel_tags, metadata)

    @property
    def requires(self) -> Iterator[Requirement]:
        for line in self.metadata.get_all("Requires-Dist") or []:
            try:
                yield Requirement(line)
            except InvalidRequirement:
                continue


def judge_wheels(wheels: Sequence[Wheel], roots: Sequence[str], image: Image, replaces: Sequence[str]) -> list[str]:
    """What would go wrong on `image` when `roots` are installed from these wheels alone, one line each."""
    fitting = {wheel.name: wheel for wheel in wheels if wheel.tags & image.tags}
    problems = [*_twice(fitting.values(), wheels), *_replaced(fitting, image, replaces)]
    asked: set[tuple[str, frozenset[str]]] = set()
    waiting = [(Requirement(root), "the bundle") for root in roots]
    while waiting:
        requirement, asker = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        wheel = fitting.get(name)
        if wheel is None or wheel.version not in requirement.specifier:
            problems += _unmet(requirement, asker, wheels, image)
            continue
        if (name, extras) in asked:
            continue
        asked.add((name, extras))
        waiting.extend((needed, wheel.name) for needed in wheel.requires if _applies(needed, image, extras))
    return list(dict.fromkeys(problems))


def _applies(requirement: Requirement, image: Image, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate(image.marker_environment(extra)) for extra in ("", *extras))


def _unmet(requirement: Requirement, asker: str, wheels: Sequence[Wheel], image: Image) -> list[str]:
    """pip says "from versions: none" for all of these."""
    name = canonicalize_name(requirement.name)
    if (pin := image.pins.get(name)) is not None and Version(pin) in requirement.specifier:
        return []  # the image has it
    there = [wheel for wheel in wheels if wheel.name == name]
    right = [wheel for wheel in there if wheel.tags & image.tags]
    needed = f"{asker} needs {name}{requirement.specifier}"
    if not there:
        return [f"missing: {needed}, and there is no wheel of it"]
    if not right:
        return [f"wrong tag: {needed}, and {there[0].filename} is not for Python {image.python} on glibc {image.glibc}"]
    return [f"wrong version: {needed}, and {right[0].filename} is another"]


def _twice(fitting: Iterable[Wheel], wheels: Sequence[Wheel]) -> Iterator[str]:
    for wheel in fitting:
        others = [other.filename for other in wheels if other.name == wheel.name and other.filename != wheel.filename]
        if others:
            yield f"twice: {wheel.filename} and {', '.join(others)}"


def _replaced(fitting: Mapping[str, Wheel], image: Image, replaces: Sequence[str]) -> Iterator[str]:
    for name, pin in image.pins.items():
        wheel = fitting.get(canonicalize_name(name))
        if wheel is not None and wheel.version != Version(pin) and name not in replaces:
            yield f"replaces the image's {name} {pin} by {wheel.version}: say so in wheels.replaces, or constrain it"


def _wheel_of(pin: str, folder: Path, image: Image) -> Path | None:
    name, _, version = pin.partition(";")[0].strip().partition("==")
    for path in folder.glob("*.whl"):
        found, number, _, wheel_tags = parse_wheel_filename(path.name)
        if (
            found == canonicalize_name(name.partition("[")[0])
            and number == Version(version)
            and wheel_tags & image.tags
        ):
            return path
    return None


def _sources() -> list[str]:
    """Where pip is told to look, as uv's options: uv does not read pip's configuration."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    options: list[str] = []
    for key, values in re.findall(r"^(?:global|:env:|install)\.(\S+)='(.*)'$", done.stdout, re.MULTILINE):
        if key in ("find-links", "extra-index-url", "index-url"):
            options += [part for value in values.split() for part in (f"--{key}", value)]
    return options
