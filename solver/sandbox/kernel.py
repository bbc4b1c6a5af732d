"""Linux calls that Python has no function for, by ctypes. Child side: standard library only.

Every function raises OSError where the kernel refuses. Sources: the manual pages of the calls named, and
include/uapi/linux/{prctl,sched,mount,capability}.h.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
_CAP_SETPCAP, _CAP_SYS_CHROOT, _CAP_SYS_ADMIN = 8, 18, 21
_CAPABILITY_VERSION_3 = 0x20080522
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def syscall(number: int, *arguments: object) -> int:
    """A system call that glibc may have no wrapper for."""
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, value: int | ctypes.c_void_p, extra: object = 0) -> None:
    value = value if isinstance(value, ctypes.c_void_p) else ctypes.c_ulong(value)  # type: ignore[assignment]
    _checked(_libc.prctl(option, value, extra, 0, 0))


def unshare(flags: int) -> None:
    _checked(_libc.unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    _checked(_libc.mount(_text(source), _text(target), _text(kind), ctypes.c_ulong(flags), _text(data)))


def unmount(target: str) -> None:
    """Detach a mount; what is still open below it stays so."""
    _checked(_libc.umount2(_text(target), MNT_DETACH))


def pivot_root(new_root: str, put_old: str) -> None:
    syscall(_PIVOT_ROOT[os.uname().machine], ctypes.c_char_p(_text(new_root)), ctypes.c_char_p(_text(put_old)))


def die_with_parent() -> None:
    """Be killed when the thread that forked this process ends. A change of uid takes the setting back."""
    prctl(PR_SET_PDEATHSIG, 9)


def drop_capabilities() -> None:
    """Give up every capability, of the bounding set too where that is allowed, whatever the uid."""
    if has_capability(_CAP_SETPCAP):
        for capability in range(64):
            try:
                prctl(PR_CAPBSET_DROP, capability)
            except OSError:
                break  # past the last one this kernel knows
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def has_capability(number: int) -> bool:
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, sets))
    effective = sets[0] | sets[3] << 32
    return bool(effective >> number & 1)


def can_mount() -> bool:
    return has_capability(_CAP_SYS_ADMIN)


def can_chroot() -> bool:
    return has_capability(_CAP_SYS_CHROOT)


def _text(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
