"""A bundle to Kaggle, with Kaggle's own client as a subprocess; nothing here speaks to Kaggle itself."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from submission.check import check_bundle
from submission.config import SubmissionConfig, read_config
from submission.errors import BundleError
from submission.findings import first_failure
from submission.names import PLACEHOLDER_OWNER, wheels_dataset

_READY_SECONDS = 1800.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One upload: the client's commands for the first time and for later ones."""

    kind: str
    folder: Path
    create: tuple[str, ...]
    update: tuple[str, ...] | None = None
    exists: tuple[str, ...] | None = None
    """A command that succeeds where it is there already."""
    until_ready: tuple[str, ...] | None = None
    """A command that prints "ready" once Kaggle has taken it in."""


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
    for step in steps(config, bundle, notes):
        if dry_run:
            _show(step, tell)
        else:
            _upload(step, tell)


def steps(config: SubmissionConfig, bundle: Path, notes: str) -> Iterator[Step]:
    owner, kaggle = config.kaggle.owner, config.kaggle
    yield _dataset(bundle / "wheels", f"{owner}/{wheels_dataset(config)}", notes)
    model = bundle / "model"
    if model.is_dir() and kaggle.model_kind == "dataset":
        yield _dataset(model, f"{owner}/{kaggle.model_slug}", notes)
    elif model.is_dir():
        name = f"{owner}/{kaggle.model_slug}"
        variation = f"{name}/{kaggle.framework}/default"
        yield Step("model", model, ("models", "create", "-p", str(model)), exists=("models", "get", name))
        yield Step(
            "variation",
            model,
            ("models", "variations", "create", "-p", str(model)),
            update=("models", "variations", "versions", "create", variation, "-p", str(model), "-n", notes),
            exists=("models", "variations", "get", variation, "-p", str(model.parent)),
        )
    yield Step("kernel", bundle / "notebook", ("kernels", "push", "-p", str(bundle / "notebook")))


def _dataset(folder: Path, name: str, notes: str) -> Step:
    return Step(
        "dataset",
        folder,
        ("datasets", "create", "-p", str(folder)),
        update=("datasets", "version", "-p", str(folder), "-m", notes),
        exists=("datasets", "status", name),
        until_ready=("datasets", "status", name),
    )


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
    tell(f"kaggle {' '.join(step.create)}")
    if step.update is not None:
        tell(f"  or, where it is there already: kaggle {' '.join(step.update)}")
    request = request_of(step)
    for name in request.pop("uploaded", []):
        size = (step.folder / name).stat().st_size
        tell(f"  file {name}: {size:,} bytes")
    for line in json.dumps(request, indent=2, default=str).splitlines():
        tell(f"  {line}")


def _upload(step: Step, tell: Tell) -> None:
    is_there = step.exists is not None and _kaggle(step.exists).returncode == 0
    if is_there and step.update is None and step.kind == "model":
        return
    command = step.update if is_there and step.update is not None else step.create
    tell(f"kaggle {' '.join(command)}")
    done = _kaggle(command)
    said = (done.stdout + done.stderr).strip()
    # The client ends with 0 on some refusals, and tells them in words.
    if done.returncode != 0 or "error" in said.lower():
        raise BundleError(f"kaggle {' '.join(command[:2])} failed: {' '.join(said.split())[-300:]}")
    tell(f"  {said.splitlines()[-1] if said else 'done'}")
    if step.until_ready is not None:
        _wait_until_ready(step.until_ready)


def _wait_until_ready(command: tuple[str, ...]) -> None:
    """A notebook that is pushed before its dataset is taken in does not find it."""
    until = monotonic() + _READY_SECONDS
    while "ready" not in _kaggle(command).stdout.lower():
        if monotonic() > until:
            raise BundleError(f"Kaggle has not taken in {command[-1]} after {_READY_SECONDS:g} s: push again later")
        sleep(10)


def _kaggle(arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kaggle", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
