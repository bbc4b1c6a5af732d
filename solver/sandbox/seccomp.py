"""The system-call filter: what a session may not ask of the kernel. Child side: standard library only.

A deny list, written as classic BPF and installed by prctl(PR_SET_SECCOMP). Refused calls give EPERM, which Python
shows as PermissionError; calls newer than the tables give ENOSYS, so that glibc takes the older way. A call by another
architecture's convention (32-bit, x32) ends the process. It closes what Landlock and the uid leave open: network,
processes, signals, and the metadata of files that only their owner may change.

Sources: Documentation/userspace-api/seccomp_filter.rst, include/uapi/linux/{seccomp,filter,audit}.h. Arguments are
compared by their low 32 bits: the kernel itself reads pids, commands and these flags as 32-bit numbers.
"""

import ctypes
import errno
import os
import struct

from solver.sandbox import kernel, syscalls

_DENIED = """
socket connect bind listen accept accept4 fork vfork execve execveat ptrace kcmp process_vm_readv process_vm_writev
process_madvise process_mrelease pidfd_open pidfd_getfd pidfd_send_signal tkill rt_sigqueueinfo rt_tgsigqueueinfo
setsid setpgid setpriority ioprio_set sched_setscheduler sched_setparam sched_setattr migrate_pages move_pages setuid
setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset unshare setns chmod fchmod fchmodat
chown fchown lchown fchownat utime utimes utimensat futimesat mknod mknodat truncate setxattr lsetxattr fsetxattr
removexattr lremovexattr fremovexattr name_to_handle_at open_by_handle_at mount umount2 pivot_root chroot move_mount
open_tree fsopen fsconfig fsmount fspick mount_setattr swapon swapoff quotactl quotactl_fd acct bpf perf_event_open
io_uring_setup io_uring_enter io_uring_register userfaultfd keyctl add_key request_key init_module finit_module
delete_module kexec_load kexec_file_load reboot syslog personality sethostname setdomainname iopl ioperm modify_ldt
settimeofday clock_settime clock_adjtime adjtimex vhangup lookup_dcookie nfsservctl uselib fanotify_init fanotify_mark
inotify_init inotify_init1 inotify_add_watch seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
memfd_create memfd_secret shmget shmat shmctl shmdt msgget msgsnd msgrcv msgctl semget semop semctl semtimedop mq_open
mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
"""

_FILE_NAMES = """
open openat openat2 creat rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir
"""
"""Every way to open or change a file by name: also denied where no other layer guards files."""

# linux/prctl.h: get dumpable, pdeathsig, seccomp, no_new_privs, bounding set; set and get name; name a mapping
_PRCTL_ALLOWED = (3, 2, 21, 39, 23, 15, 16, 0x53564D41)
# asm-generic/ioctls.h: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# linux/fcntl.h: F_SETOWN, F_SETSIG, F_SETOWN_EX (signals to others), F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ
_FCNTL_DENIED = (8, 10, 15, 1024, 1026, 1031)
_CLONE_THREAD, _AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_MASK = 0x10000, 1, 1, 0xF

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_TABLES = {"x86_64": syscalls.X86_64, "aarch64": syscalls.AARCH64}
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_BITS, _AND, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_REFUSE = _ERRNO | errno.EPERM

Instruction = tuple[int, int, int, int]
"""Code, offset if true, offset if false, operand."""


def is_supported(machine: str) -> bool:
    return machine in _TABLES


def program(machine: str, pid: int, *, deny_file_names: bool = False) -> list[Instruction]:
    """The filter for the process `pid` (as it sees itself), which may signal itself alone."""
    table, refuse = _TABLES[machine], [(_RETURN, 0, 0, _REFUSE)]
    code = [_load_arch(), *_unless_equal(_AUDIT_ARCH[machine], _KILL_PROCESS), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        code += [(_JUMP_GREATER, 0, 1, _X32_BIT - 1), (_RETURN, 0, 0, _KILL_PROCESS)]
    code += [(_JUMP_GREATER, 0, 1, syscalls.NEWEST), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    code += _for_call(table["clone3"], [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    rules = _argument_rules(pid) | dict.fromkeys(_DENIED.split(), refuse)
    if deny_file_names:
        rules |= dict.fromkeys(_FILE_NAMES.split(), refuse)
    for name, block in rules.items():
        if name in table:
            code += _for_call(table[name], block)
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def install(pid: int, *, deny_file_names: bool = False) -> None:
    """Confine the calling thread, for good. Needs PR_SET_NO_NEW_PRIVS, which it sets."""
    instructions = program(os.uname().machine, pid, deny_file_names=deny_file_names)
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(instructions), ctypes.addressof(buffer)))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.byref(header))  # SECCOMP_MODE_FILTER


def _argument_rules(pid: int) -> dict[str, list[Instruction]]:
    own_pid = _only_if_in(0, (pid,))
    return {
        "clone": [
            _load_argument(0),
            (_JUMP_BITS, 0, 1, _CLONE_THREAD),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ],
        "kill": own_pid,
        "tgkill": own_pid,
        "prlimit64": _only_if_in(0, (0, pid)),
        "sched_setaffinity": _only_if_in(0, (0, pid)),
        "prctl": _only_if_in(0, _PRCTL_ALLOWED),
        "ioctl": _only_if_in(1, _IOCTL_ALLOWED),
        "fcntl": _unless_in(1, _FCNTL_DENIED),
        # a stream pair cannot be pointed elsewhere; a datagram socket could send to any name
        "socketpair": [
            _load_argument(0),
            (_JUMP_EQUAL, 0, 4, _AF_UNIX),
            _load_argument(1),
            (_AND, 0, 0, _SOCK_TYPE_MASK),
            (_JUMP_EQUAL, 0, 1, _SOCK_STREAM),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ],
        "open": _no_truncating_read(1),
        "openat": _no_truncating_read(2),
    }


def _no_truncating_read(argument: int) -> list[Instruction]:
    """Landlock before ABI 3 lets a file that may only be read be emptied by O_RDONLY | O_TRUNC."""
    return [
        _load_argument(argument),
        (_JUMP_BITS, 0, 3, os.O_TRUNC),
        (_AND, 0, 0, os.O_ACCMODE),
        (_JUMP_EQUAL, 0, 1, os.O_RDONLY),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _load_arch() -> Instruction:
    return (_LOAD, 0, 0, 4)


def _load_argument(index: int) -> Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index)  # struct seccomp_data; both architectures are little-endian


def _unless_equal(value: int, verdict: int) -> list[Instruction]:
    return [(_JUMP_EQUAL, 1, 0, value), (_RETURN, 0, 0, verdict)]


def _for_call(number: int, block: list[Instruction]) -> list[Instruction]:
    """The block, which must end by returning, for this call alone."""
    return [(_JUMP_EQUAL, 0, len(block), number), *block]


def _only_if_in(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    return _match(argument, values, matched=_ALLOW, otherwise=_REFUSE)


def _unless_in(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    return _match(argument, values, matched=_REFUSE, otherwise=_ALLOW)


def _match(argument: int, values: tuple[int, ...], *, matched: int, otherwise: int) -> list[Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_load_argument(argument), *tests, (_RETURN, 0, 0, otherwise), (_RETURN, 0, 0, matched)]
