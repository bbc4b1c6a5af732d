"""Runs a command with fewer privileges, so that a test made by root shows what other users of the solver get.

python privileges.py LEVEL COMMAND...: as `root` (unchanged); as `docker` (root with the capabilities that docker leaves
by default, Python readable by everybody as in an image); as `docker-closed` (the same, Python where it is, perhaps in a
home that only root may enter); as `user` (an ordinary one, with no capability).
"""

import ctypes
import os
import sys
import tempfile
from pathlib import Path

# moby/profiles/capabilities defaults: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
# net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap
DOCKER_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
LEVELS = ("root", "docker", "docker-closed", "user")
USER = 12345
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE, _PR_CAPBSET_DROP = 0x20000, 0x1000, 0x4000, 0x40000, 24
_libc = ctypes.CDLL(None, use_errno=True)


def drop_to(level: str) -> None:
    if level in ("docker", "user"):
        open_the_way([Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parents[1]])
    if level.startswith("docker"):
        for capability in set(range(64)) - DOCKER_CAPABILITIES:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # exec then leaves what is left; those unknown fail
    elif level == "user":
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)


def open_the_way(paths: list[Path]) -> None:
    """In a mount namespace of our own, put open directories over the closed ones above `paths`."""
    _check(_libc.unshare(_CLONE_NEWNS))
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    closed = {above for path in paths for above in path.resolve().parents if not above.stat().st_mode & 0o001}
    for top in [path for path in closed if not closed & set(path.parents)]:
        below = [path.resolve() for path in paths if top in path.resolve().parents]
        staged = [tempfile.mkdtemp() for _ in below]
        for path, stage in zip(below, staged, strict=True):
            _mount(str(path), stage, None, _MS_BIND | _MS_REC)
        _mount("tmpfs", str(top), "tmpfs", 0)
        for path, stage in zip(below, staged, strict=True):
            path.mkdir(parents=True, exist_ok=True)
            _mount(stage, str(path), None, _MS_BIND | _MS_REC)
            _check(_libc.umount2(stage.encode(), 2))
            Path(stage).rmdir()
        os.chmod(top, 0o755)  # noqa: PTH101  the directory that we have just mounted


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    drop_to(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
