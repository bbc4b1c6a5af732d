"""Finds what this machine lets us do, by trying each layer in a fork of the zygote. Child side: standard library only.

No layer is assumed. The report that comes of it is a dictionary of layer to {"on", "detail"}, in the journal's first
line and in `solver doctor`.
"""

import os
import socket
from collections.abc import Callable
from typing import Any

from solver.sandbox import kernel, landlock, seccomp
from solver.sandbox.confine import Plan

Layers = dict[str, dict[str, Any]]

_FIRST_UIDS = (2_000_000_000, 100_000)
"""Far above any account; the second for user namespaces that hold fewer."""


def find_plan(settings: dict[str, Any], layers: Layers, *, private_root: bool) -> Plan:
    """The layers to use, and into `layers` what each of them came to."""
    without = settings["without"]
    abi = _find_landlock(layers, switched_off="landlock" in without)
    has_seccomp = _find_seccomp(layers, switched_off="seccomp" in without)
    is_guarded = private_root or abi > 0
    can_chroot = not is_guarded and "chroot" not in without and kernel.can_chroot()
    no_names = not is_guarded and not can_chroot and has_seccomp
    needed = settings["sys_path"] if is_guarded else []  # else everything is loaded before the uid changes
    first_uid = _find_own_uid(needed, layers, switched_off="own uid" in without)
    layers["files"] = _file_report(private_root=private_root, abi=abi, chroot=can_chroot, no_names=no_names)
    return Plan(
        private_root=private_root,
        first_uid=first_uid,
        landlock_abi=abi,
        chroot=can_chroot,
        seccomp=has_seccomp,
        deny_file_names=no_names,
        readable=tuple(settings["readable"]),
    )


def problem(layers: Layers, *, unsafe: bool) -> str | None:
    """Why code must not be run here, in one line; None where the required minimum is reached."""
    missing_filter, missing_uid = (f"{name}: {layers[name]['detail']}" for name in ("seccomp", "own uid"))
    if unsafe or layers["seccomp"]["on"]:
        return None
    if not seccomp.is_supported(os.uname().machine):
        return missing_filter
    return None if layers["own uid"]["on"] else f"{missing_filter}; {missing_uid}"


def in_fork(attempt: Callable[[], None], *, own_mounts: bool = False) -> str | None:
    """Try something in a fork; None where it worked, else why not."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if own_mounts:
                kernel.unshare(kernel.CLONE_NEWNS)
            attempt()
            os.write(writer, b"+")
        except Exception as error:  # noqa: BLE001  whatever went wrong is the report
            os.write(writer, f"{getattr(error, 'strerror', None) or error}".encode()[:500] or b"failed")
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 1000).decode("utf-8", "replace")
    os.close(reader)
    os.waitpid(pid, 0)
    return None if said == "+" else said or "the process that tried it was killed"


def _find_own_uid(sys_path: list[str], layers: Layers, *, switched_off: bool) -> int:
    reason: str | None = "switched off" if switched_off else None
    if reason is None and os.geteuid() != 0:
        reason = "not root"
    if reason is None:
        for first_uid in _FIRST_UIDS:
            reason = in_fork(lambda uid=first_uid: _live_as(uid, sys_path))  # type: ignore[misc]
            if reason is None:
                layers["own uid"] = {"on": True, "detail": f"from {first_uid}"}
                return first_uid
    layers["own uid"] = {"on": False, "detail": reason}
    return 0


def _live_as(uid: int, sys_path: list[str]) -> None:
    """As a session with this uid would: its files of Python must be readable."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    for path in sys_path:
        if not os.access(path, os.R_OK):
            raise PermissionError(13, f"that uid could not read {path}")


def _find_landlock(layers: Layers, *, switched_off: bool) -> int:
    abi = 0 if switched_off else landlock.version()
    reason = "switched off" if switched_off else "not in this kernel"
    if abi:
        reason = in_fork(lambda: _prove_landlock(abi)) or ""
        abi = 0 if reason else abi
    layers["landlock"] = {"on": abi > 0, "detail": f"ABI {abi}" if abi else reason}
    return abi


def _prove_landlock(abi: int) -> None:
    landlock.restrict(landlock.ruleset(min(abi, 7), ["/dev/null"], [], None))
    os.close(os.open("/dev/null", os.O_RDONLY))
    _must_be_refused(lambda: os.open("/", os.O_RDONLY))


def _find_seccomp(layers: Layers, *, switched_off: bool) -> bool:
    machine = os.uname().machine
    reason: str | None = "switched off"
    if not switched_off:
        reason = in_fork(_prove_seccomp) if seccomp.is_supported(machine) else f"no table of system calls for {machine}"
    layers["seccomp"] = {"on": reason is None, "detail": reason or f"{machine}"}
    return reason is None


def _prove_seccomp() -> None:
    seccomp.install(os.getpid())
    _must_be_refused(lambda: socket.socket(socket.AF_UNIX))
    _must_be_refused(os.fork)
    _must_be_refused(lambda: os.kill(os.getppid(), 0))


def _must_be_refused(attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except PermissionError:
        return
    raise RuntimeError("accepted by the kernel, but not enforced")


def _file_report(*, private_root: bool, abi: int, chroot: bool, no_names: bool) -> dict[str, Any]:
    ways = {
        "private root": private_root,
        "Landlock": abi > 0,
        "chroot into the scratch directory, all modules preloaded": chroot,
        "no file may be opened, all modules preloaded": no_names,
    }
    used = [way for way, is_on in ways.items() if is_on]
    return {"on": bool(used), "detail": " + ".join(used) or "open to the code that runs"}
