"""The layers around a session, in the order in which it puts them on. Child side: standard library only.

`Plan` is what the zygote found possible on this machine; `Confinement` is one session's share of it. Every layer but
the clock (which is the parent's) is here: rlimits, own uid, no capabilities, file access, system calls.
"""

import os
import resource
from dataclasses import dataclass

from solver.sandbox import kernel, landlock, seccomp, view

_MIB = 1 << 20
_NICE = 10
_MAX_TASKS = 64
_NOFILE = 64
_STACK_MIB = 64


@dataclass(frozen=True)
class Plan:
    """What this machine lets us do; see `solver.sandbox.zygote` for how it is found."""

    private_root: bool = False
    first_uid: int = 0
    """Sessions get uids from here on; 0: they keep the zygote's."""
    landlock_abi: int = 0
    """0: none."""
    chroot: bool = False
    """Lock the session into its scratch directory; everything it may import must be loaded by then."""
    seccomp: bool = False
    deny_file_names: bool = False
    """No file may be opened at all: the last resort where no layer tells files apart."""
    readable: tuple[str, ...] = ()

    @property
    def needs_all_modules(self) -> bool:
        return self.chroot or self.deny_file_names


@dataclass(frozen=True)
class Confinement:
    """One session's."""

    number: int
    """Of the session, counted from 1 by the zygote."""
    memory_mib: int
    scratch_mib: int
    scratch: str | None
    """A directory that the solver made for it; None where the private root has one."""


def confine(plan: Plan, session: Confinement, parent: int, base_bytes: int) -> None:
    """Confine the calling process, a fresh fork of the zygote `parent`, for good.

    Raises:
        OSError: a layer that the zygote had found possible was refused; the process must not run anything.
    """
    os.setsid()
    kernel.die_with_parent()
    uid = plan.first_uid + session.number % 50_000 if plan.first_uid else os.getuid()
    gid = uid if plan.first_uid else os.getgid()
    scratch = _enter_scratch(plan, session, uid, gid)
    os.nice(_NICE)
    _set_limits(session, base_bytes, own_uid=bool(plan.first_uid))
    rules = -1
    if plan.landlock_abi:
        # opened before the uid changes: the new one may not be able to enter the directories above
        rules = landlock.ruleset(plan.landlock_abi, plan.readable, view.DEVICES, scratch)
    if plan.chroot:
        os.chroot(".")
        scratch = "/"
    if plan.first_uid:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    kernel.drop_capabilities()
    kernel.die_with_parent()  # once more: a change of uid takes it back
    if os.getppid() != parent:
        raise ProcessLookupError("the zygote is gone")
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    if plan.landlock_abi:
        landlock.restrict(rules)
    if plan.seccomp:
        seccomp.install(os.getpid(), deny_file_names=plan.deny_file_names)


def _enter_scratch(plan: Plan, session: Confinement, uid: int, gid: int) -> str:
    if plan.private_root:
        view.mount_scratch(uid, gid, session.scratch_mib)
        os.chdir(view.SCRATCH)
        return view.SCRATCH
    if session.scratch is None:
        raise FileNotFoundError(2, "no scratch directory was given")
    if plan.first_uid:
        os.chown(session.scratch, uid, gid)
    os.chdir(session.scratch)
    return session.scratch


def _set_limits(session: Confinement, base_bytes: int, *, own_uid: bool) -> None:
    file_bytes = min(16, session.scratch_mib) * _MIB
    limits = {
        resource.RLIMIT_AS: base_bytes + session.memory_mib * _MIB,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: _NOFILE,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_SIGPENDING: 256,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if own_uid:  # it counts the tasks of a uid: of a shared one, the user's other programs too
        limits[resource.RLIMIT_NPROC] = _MAX_TASKS
    for name, value in limits.items():
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = _STACK_MIB * _MIB if hard == resource.RLIM_INFINITY else min(_STACK_MIB * _MIB, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))  # deep recursion is common in such code
