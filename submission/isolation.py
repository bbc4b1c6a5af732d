"""A process that sees a fake /kaggle and no network.

Where the system allows namespaces (`unshare` as root, or with user namespaces), the tree is mounted at /kaggle with
its inputs read-only, and there is no network but loopback. Elsewhere the notebook is told the tree's place in
OLYMPIAD_KAGGLE, its inputs are write-protected, and names other than this machine's do not resolve.
"""

import array
import contextlib
import fcntl
import shutil
import socket
import struct
import subprocess
from functools import cache
from pathlib import Path

PLACE_VARIABLE = "OLYMPIAD_KAGGLE"

# A new root with everything of the old one but /kaggle; chroot would not do, since sandboxes inside need namespaces.
_STAGE = """set -e
new=$1; tree=$2; shift 2
mount --make-rprivate /
mount -t tmpfs none "$new"
for path in /*; do
  name=${path#/}
  if [ "$name" = kaggle ]; then continue
  elif [ -L "$path" ]; then cp -P "$path" "$new/$name"
  elif [ -d "$path" ]; then mkdir "$new/$name"; mount --rbind "$path" "$new/$name"
  fi
done
mkdir "$new/kaggle" "$new/.old"
mount --bind "$tree" "$new/kaggle"
mount --bind "$tree/input" "$new/kaggle/input"
mount -o remount,bind,ro "$new/kaggle/input"
cd "$new"
pivot_root . .old
umount -l /.old
cd /kaggle/working
exec "$@"
"""

_NO_NETWORK = """import socket

_LOCAL = {"localhost", "127.0.0.1", "::1", "", None}
_getaddrinfo, _connect = socket.getaddrinfo, socket.socket.connect


def getaddrinfo(host, *args, **kwargs):
    if (host.decode() if isinstance(host, bytes) else host) not in _LOCAL and host != socket.gethostname():
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _getaddrinfo(host, *args, **kwargs)


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _LOCAL:
        raise OSError(101, "Network is unreachable")
    return _connect(self, address)


socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect
"""


@cache
def namespaces() -> tuple[str, ...] | None:
    """The `unshare` command that works here, or None."""
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("pivot_root") is None:
        return None
    for options in (("--mount", "--net"), ("--map-root-user", "--mount", "--net")):
        probe = [unshare, *options, "sh", "-c", "mount --make-rprivate / && mount -t tmpfs none /mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return (unshare, *options)
    return None


def isolate(command: list[str], run: Path, *, use_namespaces: bool = True) -> tuple[list[str], dict[str, str]]:
    """The command that plays `command` on `run`/kaggle, and the variables that the notebook needs."""
    tree = run / "kaggle"
    unshare = namespaces() if use_namespaces else None
    if unshare is not None:
        root = run / "root"
        root.mkdir()
        return [*unshare, "sh", "-c", _STAGE, "stage", str(root), str(tree), *command], {}
    for path in sorted((tree / "input").rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    patches = run / "no-network"
    patches.mkdir()
    (patches / "sitecustomize.py").write_text(_NO_NETWORK, "utf-8")
    return command, {PLACE_VARIABLE: str(tree), "PYTHONPATH": str(patches)}


def describe_isolation(*, use_namespaces: bool = True) -> str:
    if use_namespaces and namespaces() is not None:
        return "namespaces: /kaggle mounted, inputs read-only, no network"
    return "no namespaces here: /kaggle is a folder, inputs write-protected, names do not resolve"


def raise_loopback() -> None:
    """Set up the loopback device of a new network namespace, where no one is given a port that Kaggle's server uses."""
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("32768 49999", "ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = array.array("b", struct.pack("16sh", b"lo", 0).ljust(40, b"\0"))
        fcntl.ioctl(probe, 0x8913, request)  # SIOCGIFFLAGS
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", flags | 1).ljust(40, b"\0"))  # SIOCSIFFLAGS, IFF_UP


def working_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
