"""A bundle to Kaggle, with Kaggle's own client as a subprocess; nothing here speaks to Kaggle itself."""

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal

from submission.check import check_bundle
from submission.config import SubmissionConfig, read_config
from submission.errors import BundleError
from submission.findings import first_failure
from submission.names import PLACEHOLDER_OWNER, wheels_dataset

_READY_SECONDS = 1800.0
_POLL_SECONDS = 10.0
_NO_TOKEN = (
    "Kaggle's client has no token here: make one at https://www.kaggle.com/settings/api and write it to "
    "~/.kaggle/access_token, or set KAGGLE_API_TOKEN"
)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One upload: the client's commands for the first time and for later ones."""

    kind: Literal["dataset", "model", "variation", "kernel"]
    name: str
    """On Kaggle."""
    folder: Path
    create: tuple[str, ...]
    update: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Version:
    """What lies on Kaggle under a name."""

    number: int
    is_ready: bool = True
    """False while Kaggle is still taking it in."""


def push_bundle(bundle: Path, notes: str, *, dry_run: bool, tell: Tell) -> None:
    """Upload wheels, model, notebook, in this order.

    Raises:
        BundleError: the check finds a failure, the owner is not set, or the client fails.
    """
    config = read_config(bundle / "wheels" / "submission.json")
    if config.kaggle.owner == PLACEHOLDER_OWNER and not dry_run:
        raise BundleError("the bundle has no owner: make it with --owner YOUR-KAGGLE-NAME")
    if (failure := first_failure(check_bundle(bundle))) is not None:
        raise BundleError(f"{bundle} is not fit to be pushed: {failure.message}")
    require_client()
    if dry_run:
        if config.kaggle.owner == PLACEHOLDER_OWNER:
            tell("a push would be refused: the bundle has no owner, make it with --owner YOUR-KAGGLE-NAME")
        for step in steps(config, bundle, notes):
            _show(step, tell)
    else:
        upload(steps(config, bundle, notes), tell)


def steps(config: SubmissionConfig, bundle: Path, notes: str) -> Iterator[Step]:
    owner, kaggle = config.kaggle.owner, config.kaggle
    yield _dataset(bundle / "wheels", f"{owner}/{wheels_dataset(config)}", notes)
    model, name = bundle / "model", f"{owner}/{kaggle.model_slug}"
    if model.is_dir() and kaggle.model_kind == "dataset":
        yield _dataset(model, name, notes)
    elif model.is_dir():
        variation, place = f"{name}/{kaggle.framework}/default", ("-p", str(model))
        yield Step("model", name, model, ("models", "create", *place))
        update = ("models", "variations", "versions", "create", variation, *place, "-n", notes)
        yield Step("variation", variation, model, ("models", "variations", "create", *place), update)
    slug = f"{owner}/{kaggle.slug}"
    yield Step("kernel", slug, bundle / "notebook", ("kernels", "push", "-p", str(bundle / "notebook")))


def _dataset(folder: Path, name: str, notes: str) -> Step:
    update = ("datasets", "version", "-p", str(folder), "-m", notes)
    return Step("dataset", name, folder, ("datasets", "create", "-p", str(folder)), update)


def upload(planned: Iterable[Step], tell: Tell) -> None:
    """Each step, once Kaggle has taken in the one before: a notebook runs with what is ready when it is pushed, and an
    earlier version of wheels or model would do, without a word. Raises BundleError."""
    made: dict[str, int] = {}
    for step in planned:
        if step.kind == "kernel":
            with tempfile.TemporaryDirectory() as folder:
                _send(("kernels", "push", "-p", str(_with_versions(step.folder, made, Path(folder, "notebook")))), tell)
            continue
        before = _settled(step, 0)
        if before is not None and step.update is None:
            continue
        _send(step.create if before is None or step.update is None else step.update, tell)
        after = _settled(step, before.number + 1 if before else 1)
        if after is not None:
            made[step.name] = after.number


def _with_versions(notebook: Path, made: Mapping[str, int], folder: Path) -> Path:
    """A copy of the notebook's folder whose model sources name the versions that have just been made."""
    shutil.copytree(notebook, folder)
    path = folder / "kernel-metadata.json"
    metadata = json.loads(path.read_text("utf-8"))
    named = [source.rpartition("/") for source in metadata.get("model_sources", [])]
    metadata["model_sources"] = [f"{name}/{made.get(name, version)}" for name, _, version in named]
    path.write_text(json.dumps(metadata, indent=2) + "\n", "utf-8")
    return folder


def require_client() -> None:
    """Raises BundleError where Kaggle's client, or what it needs without saying so, is not installed."""
    for name in ("kaggle", "six"):
        if find_spec(name) is None:
            raise BundleError(f"{name} is not installed: pip install -c constraints.txt '.[kaggle]'")


def request_of(step: Step) -> dict[str, Any]:
    """What the client itself would send for this step. Raises BundleError where it refuses."""
    command = [sys.executable, "-m", "submission.kaggle_offline", step.kind, str(step.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise BundleError(said[-1])
    request: dict[str, Any] = json.loads(done.stdout)
    return request


def _show(step: Step, tell: Tell) -> None:
    tell(f"kaggle {shlex.join(step.create)}")
    if step.update is not None:
        tell(f"  or, where it is there already: kaggle {shlex.join(step.update)}")
    if step.kind == "variation":
        tell("  (the version that comes of it is put into the notebook's model_sources)")
    request = request_of(step)
    for name in request.pop("uploaded", []):
        size = (step.folder / name).stat().st_size
        tell(f"  file {name}: {size:,} bytes")
    for line in json.dumps(request, indent=2, default=str).splitlines():
        tell(f"  {line}")


def _send(command: tuple[str, ...], tell: Tell) -> None:
    tell(f"kaggle {shlex.join(command)}")
    done = _kaggle(command)
    # The client ends with 0 on some refusals, and tells them in words.
    if done.returncode != 0 or "error" in done.stdout.lower():
        said = " ".join((done.stdout + done.stderr).split())
        if "KAGGLE_API_TOKEN" in said:
            raise BundleError(_NO_TOKEN)
        raise BundleError(f"kaggle {' '.join(command[:2])} failed: {said[-300:]}")
    tell(f"  {(done.stdout.strip().splitlines() or ['done'])[-1]}")


def _settled(step: Step, number: int) -> Version | None:
    """What lies on Kaggle, once it is ready and has at least this number; None where nothing does, and none is waited
    for. Raises BundleError."""
    until = monotonic() + _READY_SECONDS
    while True:
        version = find_version(step)
        if version is None and number == 0:
            return None
        if version is not None and version.is_ready and version.number >= number:
            return version
        if monotonic() > until:
            raise BundleError(f"Kaggle has not taken in {step.name} after {_READY_SECONDS:g} s: push again later")
        sleep(_POLL_SECONDS)


def find_version(step: Step) -> Version | None:
    """What lies on Kaggle under the step's name; None where nothing does."""
    if step.kind == "dataset":
        done = _kaggle(("datasets", "status", step.name, "--format", "json(status,current_version_number)"))
        if done.returncode != 0:
            return None
        status = json.loads(done.stdout)
        return Version(status["current_version_number"], status["status"] == "ready")
    if step.kind == "model":
        return Version(1) if _kaggle(("models", "get", step.name)).returncode == 0 else None
    with tempfile.TemporaryDirectory() as folder:  # the client writes its answer into a file
        done = _kaggle(("models", "variations", "get", step.name, "-p", folder))
        if done.returncode != 0:
            return None
        metadata = json.loads(Path(folder, "model-instance-metadata.json").read_text("utf-8"))
        return Version(metadata["versionNumber"])


def _kaggle(arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kaggle", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
