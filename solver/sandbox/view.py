"""Namespaces and the private root: a file system in which nothing but Python and its libraries exists. Child side.

The zygote enters them once, before it loads the libraries, so a session gets them with its fork: no network interface,
no process but sessions in sight, no /proc, /tmp or home directory. A library below a home that only its owner may
enter (root's virtual environment) is readable here by any uid, since the directories above it are new.
Sources: unshare(2), mount_namespaces(7), user_namespaces(7), pivot_root(2).
"""

import contextlib
import os
from collections.abc import Iterable

from solver.sandbox import kernel

SCRATCH = "/scratch"
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_KEPT_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC | 0x400 | 0x800 | 0x200000  # and the atime ones


def enter_namespaces() -> None:
    """New mount, pid, network, IPC and host-name namespaces; in a user namespace of our own where not root.

    The pid namespace is for the children of this process; the first of them is its init. Raises OSError where refused.
    """
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    if kernel.can_mount():
        kernel.unshare(flags)
        return
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        raise PermissionError(1, "root without CAP_SYS_ADMIN; a user namespace would hold no second uid")
    kernel.unshare(flags | kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        _write(f"/proc/self/{name}", text)


def enter_private_root(directory: str, readable: Iterable[str]) -> None:
    """Make a new root at `directory` with `readable` in it, read-only, and leave the old one behind for good."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", directory, "tmpfs", kernel.MS_NOSUID, "mode=0755,size=1m")
    for path in _outermost(readable):
        _bind(path, directory + path, kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV)
    for path in DEVICES:
        _bind(path, directory + path, kernel.MS_NOSUID)
    os.mkdir(directory + SCRATCH, 0o755)  # noqa: PTH102  pathlib is not imported here, the zygote starts lean
    os.chdir(directory)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.mount("none", "/", None, kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID)


def mount_scratch(uid: int, gid: int, mib: int) -> None:
    """An empty scratch directory of this process alone, in memory and no larger than `mib`."""
    kernel.unshare(kernel.CLONE_NEWNS)
    options = f"mode=0700,uid={uid},gid={gid},size={mib}m,nr_inodes=4096"
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("tmpfs", SCRATCH, "tmpfs", flags, options)


def _outermost(paths: Iterable[str]) -> list[str]:
    """Existing paths, without those below another."""
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths if os.path.exists(path)}):  # noqa: PTH110
        if not any(path.startswith(f"{parent}/") for parent in kept):
            kept.append(path)
    return kept


def _bind(source: str, target: str, flags: int) -> None:
    if os.path.isdir(source):  # noqa: PTH112
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)
    # in a user namespace the flags of the mount we copy may not be taken back
    flags |= os.statvfs(target).f_flag & _KEPT_FLAGS
    with contextlib.suppress(OSError):  # a layer less where the system refuses; Landlock and the uid also deny writing
        kernel.mount("none", target, None, kernel.MS_REMOUNT | kernel.MS_BIND | flags)


def _write(path: str, text: str) -> None:
    opened = os.open(path, os.O_WRONLY)
    try:
        os.write(opened, text.encode("ascii"))
    finally:
        os.close(opened)
