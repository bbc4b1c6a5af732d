"""The process that every session is a fork of: preloaded, single-threaded, with a clean environment. Child side.

It speaks JSON datagrams with the solver over one socket (descriptor passing included) and ends with it:
to the solver {"layers", "required", ...}, {"ready", ...}, {"forked": n} with a pidfd, {"exited": n, "code"};
from the solver {"fork": n, ...} with the session's socket and output pipe. Nothing a session says arrives here.
"""

import array
import gc
import json
import os
import select
import signal
import socket
import sys
from time import monotonic
from typing import Any, NoReturn

from solver.sandbox import kernel, preload, probe, remove, seccomp, view, wire, worker
from solver.sandbox.cell import run_cell
from solver.sandbox.confine import Confinement, Plan

_MAX_MESSAGE = 1 << 16


def main(settings_text: str) -> NoReturn:
    settings: dict[str, Any] = json.loads(settings_text)
    control = socket.socket(fileno=settings["control_fd"])
    control.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    layers: dict[str, dict[str, Any]] = {}
    has_namespaces = _enter_namespaces(settings, layers, control)
    _volunteer_for_the_oom_killer()
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    has_root = has_namespaces and _enter_private_root(settings, layers)
    sys.path[:] = settings["sys_path"]
    plan = probe.find_plan(settings, layers, private_root=has_root)
    _send(control, {"layers": layers, "problem": probe.problem(layers, unsafe=settings["unsafe"])})
    began = monotonic()
    missing = preload.load(all_submodules=plan.needs_all_modules)
    for name in [name for name in sys.modules if name.partition(".")[0] == "solver"]:
        del sys.modules[name]  # a block's `import solver` finds nothing of ours
    _warm_up()
    gc.collect()
    gc.disable()
    filler = preload.fill_holes()
    gc.freeze()  # sessions' collectors leave these objects alone, so their pages stay shared
    size, resident = map(int, os.pread(statm, 100, 0).split()[:2])
    base_bytes = size * os.sysconf("SC_PAGE_SIZE")
    ready = {"ready": True, "missing": missing, "preload_seconds": monotonic() - began, "base_pages": resident}
    _send(control, ready)
    _Zygote(control, plan, base_bytes).serve()
    del filler
    if not plan.private_root:
        remove.remove_tree(settings["directory"])  # the solver may have been killed
    os._exit(0)


class _Zygote:
    def __init__(self, control: socket.socket, plan: Plan, base_bytes: int) -> None:
        self._control, self._plan, self._base_bytes = control, plan, base_bytes
        self._pid = os.getpid()
        self._sessions: dict[int, tuple[int, int]] = {}
        """By pidfd: the session's number and pid."""

    def serve(self) -> None:
        """Until the solver hangs up. Sessions still running are then killed."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor != self._control.fileno():
                    poll.unregister(descriptor)
                    self._reap(descriptor)
                elif (pidfd := self._fork_one()) is None:
                    for _, pid in self._sessions.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                else:
                    poll.register(pidfd, select.POLLIN)

    def _fork_one(self) -> int | None:
        message, descriptors = _receive(self._control)
        if message is None:
            return None
        number = message.pop("fork")
        session_socket, output = descriptors
        pid = os.fork()
        if pid == 0:
            session = Confinement(number=number, **message)
            worker.main(session_socket, output, self._plan, session, self._pid, self._base_bytes)
        pidfd = os.pidfd_open(pid)
        os.close(session_socket)
        os.close(output)
        self._sessions[pidfd] = (number, pid)
        _send(self._control, {"forked": number}, [pidfd])
        return pidfd

    def _reap(self, pidfd: int) -> None:
        number, pid = self._sessions.pop(pidfd)
        os.close(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _send(self._control, {"exited": number, "code": code})


def _enter_namespaces(settings: dict[str, Any], layers: dict[str, dict[str, Any]], control: socket.socket) -> bool:
    """Enter them and go on in the first process of the new pid namespace; this one stays behind to wait for it."""
    if "namespaces" in settings["without"]:
        layers["namespaces"] = {"on": False, "detail": "switched off"}
        return False
    try:
        view.enter_namespaces()
    except OSError as error:
        layers["namespaces"] = {"on": False, "detail": error.strerror}
        return False
    layers["namespaces"] = {"on": True, "detail": "mount, pid, network, ipc, host name"}
    if pid := os.fork():
        control.close()
        os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
    kernel.die_with_parent()
    return True


def _enter_private_root(settings: dict[str, Any], layers: dict[str, dict[str, Any]]) -> bool:
    """In a fork first: half of a new root would be worse than none."""
    if "private root" in settings["without"]:
        layers["private root"] = {"on": False, "detail": "switched off"}
        return False
    arguments = (settings["directory"], settings["readable"])
    error = probe.in_fork(lambda: view.enter_private_root(*arguments), own_mounts=True)
    if error is None:
        view.enter_private_root(*arguments)
    layers["private root"] = {"on": error is None, "detail": error or "Python and its libraries, read-only"}
    return error is None


def _warm_up() -> None:
    """Run the session's own code once, so that every fork finds it quickened and its modules complete."""
    for code in ("1 + 1", "1 / 0", "x ="):
        wire.pack({"error": run_cell(code, 0, {}).error})
    if seccomp.is_supported(os.uname().machine):
        seccomp.program(os.uname().machine, 1)


def _volunteer_for_the_oom_killer() -> None:
    """Of all processes, the kernel should end a session (they inherit this) before the solver."""
    opened = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(opened, b"1000")
    os.close(opened)


def _send(control: socket.socket, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        control.sendmsg([json.dumps(message).encode("ascii")], rights)
    except OSError:
        os._exit(0)  # the solver is gone; sessions go with this process


def _receive(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    try:
        data, rights, _, _ = control.recvmsg(_MAX_MESSAGE, socket.CMSG_SPACE(8))
    except ConnectionError:
        return None, []
    descriptors = array.array("i")
    for _, _, content in rights:
        descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return (json.loads(data) if data else None), list(descriptors)
