"""One notebook session, played inside the isolation: the notebook in a kernel of its own, and in a scored run Kaggle's
gateway beside it. `python -m submission.session SPEC` writes `session.json` beside the specification.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from time import monotonic, time
from typing import Any, Literal, Protocol

from submission.errors import ErrorType, GatewayError
from submission.gateway import Gateway, GatewayOptions
from submission.isolation import raise_loopback
from submission.mounts import find_input
from submission.protocol import OPTIONS_VARIABLE, RERUN_VARIABLE, find_protocol

Mode = Literal["commit", "rerun"]
Runner = Literal["notebook", "script"]
_ERROR_CHARS = 4000
_MACHINE_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class SessionSpec:
    mode: Mode
    competition: str
    notebook: str
    python: str
    """The interpreter of the clean environment."""
    run: str
    runner: Runner = "notebook"
    """script: the code cells one after another in a plain process; starts faster."""
    is_namespaced: bool = True
    session_seconds: float = 600.0
    options: dict[str, Any] = field(default_factory=dict)
    """OLYMPIAD_REHEARSAL of the notebook."""
    kaggle_files: str | None = None
    """A folder that holds Kaggle's own kaggle_evaluation, to be asked by its gateway."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the notebook beside those that Kaggle sets."""


@dataclass
class SessionResult:
    """What was seen; None where it did not come to that."""

    notebook_error: str | None = None
    timed_out: bool = False
    began: float = 0.0
    """On the wall clock."""
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    """result.json, in a scored run."""
    log: str = ""
    """The end of what the notebook printed."""


class Player(Protocol):
    def play(self) -> str | None:
        """Run to the end; the error, or None."""

    def stop(self) -> None:
        """End it, from another thread."""

    @property
    def log(self) -> str: ...


class NotebookPlayer:
    def __init__(self, spec: SessionSpec, environment: dict[str, str], folder: Path) -> None:
        import nbformat
        from nbclient import NotebookClient

        kernels = Path(spec.run, "jupyter", "kernels", "rehearsal")
        kernels.mkdir(parents=True)
        argv = [spec.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        kernel = {"argv": argv, "display_name": "rehearsal", "language": "python"}
        (kernels / "kernel.json").write_text(json.dumps(kernel), "utf-8")
        os.environ["JUPYTER_PATH"] = str(kernels.parent.parent)
        self._environment = environment
        self._notebook = nbformat.read(spec.notebook, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        self._client = NotebookClient(self._notebook, kernel_name="rehearsal", timeout=None, resources=resources)
        self._copy = Path(spec.run, "notebook.ipynb")

    def play(self) -> str | None:
        import nbformat
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        try:
            self._client.execute(env=self._environment)
        except CellExecutionError as error:
            return f"{error.ename}: {error.evalue}"
        except DeadKernelError as error:
            return f"DeadKernelError: {error}"
        finally:
            nbformat.write(self._notebook, self._copy)
        return None

    def stop(self) -> None:
        manager = self._client.km
        pid = getattr(getattr(manager, "provisioner", None), "pid", None)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        outputs = [output for cell in self._notebook.cells for output in cell.get("outputs", [])]
        return "".join(output.get("text", "") for output in outputs)


class ScriptPlayer:
    def __init__(self, spec: SessionSpec, environment: dict[str, str], folder: Path) -> None:
        notebook = json.loads(Path(spec.notebook).read_text("utf-8"))
        cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
        script = Path(spec.run, "notebook.py")
        script.write_text("\n\n".join(cells), "utf-8")
        self._log = Path(spec.run, "notebook.log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [spec.python, str(script)],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def play(self) -> str | None:
        code = self._process.wait()
        lines = self.log.strip().splitlines()
        return None if code == 0 else (lines[-1] if lines and code > 0 else f"the process died with status {code}")

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")


def play_session(spec: SessionSpec) -> SessionResult:
    kaggle = Path("/kaggle") if spec.is_namespaced else Path(spec.run, "kaggle")
    working = kaggle / "working"
    os.chdir(working)
    if spec.is_namespaced:
        raise_loopback()
    environment = _environment(spec, kaggle)
    make_player: type[NotebookPlayer] | type[ScriptPlayer] = ScriptPlayer if spec.runner == "script" else NotebookPlayer
    player: Player = make_player(spec, environment, working)
    result = SessionResult(began=time())
    began = monotonic()
    ended = threading.Event()

    def play() -> None:
        try:
            result.notebook_error = (player.play() or "")[-_ERROR_CHARS:] or None
        finally:
            ended.set()

    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    if spec.mode == "rerun":
        _ask(spec, kaggle, ended, result)
        if not ended.is_set():
            player.stop()
            ended.wait(30)
            result.notebook_error = None  # ended by us, as Kaggle ends it
    elif not ended.wait(spec.session_seconds):
        result.timed_out = True
        player.stop()
        ended.wait(30)
    result.seconds = monotonic() - began
    result.log = player.log[-_ERROR_CHARS:]
    return result


def _ask(spec: SessionSpec, kaggle: Path, ended: threading.Event, result: SessionResult) -> None:
    """Kaggle's container: the gateway, until it has every answer or gives up."""
    protocol = find_protocol(spec.competition)
    problems = find_input(kaggle / "input", "competition", protocol.slug) / "test.csv"
    os.environ[RERUN_VARIABLE] = "1"
    values = {"session_seconds": spec.session_seconds, **spec.options.get("gateway", {})}
    values["log"] = Path(values["log"]) if values.get("log") else None
    began = monotonic()
    done = threading.Event()

    def run() -> None:
        try:
            if spec.kaggle_files is not None:
                _run_kaggles_gateway(spec.kaggle_files, protocol.module, problems)
            else:
                Gateway(protocol, problems, GatewayOptions(**values)).run()
        finally:
            done.set()

    threading.Thread(target=run, daemon=True).start()
    while not done.wait(0.2):
        if ended.is_set():  # no notebook, no server: Kaggle waits out its limit, we need not
            done.wait(10)
            break
        if monotonic() - began > spec.session_seconds:
            result.timed_out = True
            break
    path = Path("result.json")
    if path.exists():
        result.result = json.loads(path.read_text("utf-8"))
    elif not result.timed_out:
        error = GatewayError(ErrorType.SERVER_NEVER_STARTED, "the notebook ended before its server answered")
        result.result = {
            "Succeeded": False,
            "ErrorType": 1,
            "ErrorName": error.kind.name,
            "ErrorDetails": error.details,
        }


def _run_kaggles_gateway(folder: str, module: str, problems: Path) -> None:
    sys.path.insert(0, folder)
    gateway_module = import_module(f"kaggle_evaluation.{module.replace('inference_server', 'gateway')}")
    name = next(name for name in dir(gateway_module) if name.startswith("AIMO") and name.endswith("Gateway"))
    gateway = getattr(gateway_module, name)((str(problems),))
    # On Kaggle the server is in another container; a client settles its address when it is made (0.3.0).
    client = type(gateway.client)("localhost")
    client.endpoint_deadline_seconds = gateway.client.endpoint_deadline_seconds
    gateway.client = client
    gateway.run()


def _environment(spec: SessionSpec, kaggle: Path) -> dict[str, str]:
    """What Kaggle sets, and nothing of ours: no cache, no configuration, no path."""
    home, scratch = Path(spec.run, "home"), Path(spec.run, "tmp")
    for folder in (home, scratch):
        folder.mkdir(exist_ok=True)
    environment = {
        "PATH": f"{Path(spec.python).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        OPTIONS_VARIABLE: json.dumps({**spec.options, "kaggle": str(kaggle)}),
    }
    if spec.mode == "rerun":
        environment[RERUN_VARIABLE] = "1"
    kept = [name for name in _MACHINE_VARIABLES if name in os.environ]
    return environment | {name: os.environ[name] for name in kept} | spec.environment


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    with contextlib.suppress(AttributeError, OSError):
        _end_with_parent()  # a kernel ends by itself when its parent has
    path = Path(sys.argv[1])
    result = play_session(SessionSpec(**json.loads(path.read_text("utf-8"))))
    path.with_name("session.json").write_text(json.dumps(asdict(result)), "utf-8")
    os._exit(0)  # a hung notebook's threads are left behind


if __name__ == "__main__":
    main()
