"""A folder that appears under its name in one step, whole, however the process that makes it ends."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from merge.errors import MergeError

_SLACK_BYTES = 64 * 2**20  # tokenizer, manifest, rounding of the file system


def check_output(output: Path, *, exist_ok: bool = False) -> None:
    """Raises MergeError where the folder is there already or could not be made."""
    if output.exists() and not exist_ok:
        raise MergeError(f"{output} is there already: name another folder, or remove it first")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MergeError(f"cannot write to {output.parent}: {error.strerror}") from None


def make_folder(output: Path) -> None:
    """The folder that -o names, if it is not there yet. Raises MergeError where it cannot be one."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise MergeError(f"{output} is a file: -o names a folder") from None
    except OSError as error:
        raise MergeError(f"cannot make the folder {output}: {error.strerror}") from None


def check_disk(output: Path, num_bytes: int, why: str = "") -> None:
    """Raises MergeError where so many bytes do not fit beside `output`."""
    need, free = num_bytes + _SLACK_BYTES, shutil.disk_usage(output.parent).free
    if need > free:
        place = output.parent.resolve()
        raise MergeError(f"not enough disk at {place}: {need / 1e9:.1f} GB needed{why}, {free / 1e9:.1f} GB free")


@contextlib.contextmanager
def exclusive(output: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """A work folder beside the output that one process at a time has, and that is gone afterwards.

    What a killed process left of it is cleared first, so ask inside whether the disk has room; and once more whether
    the output is there, for who had the lock before may have made it.
    """
    lock = output.parent / f".{output.name}.lock"
    work = output.parent / f".{output.name}.partial"
    while True:
        file = lock.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {output}")
            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(file.fileno()).st_ino:
                break
        file.close()  # who had it before has removed the file we locked
    with file:
        shutil.rmtree(work, ignore_errors=True)
        try:
            work.mkdir()
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            lock.unlink(missing_ok=True)


def publish(finished: Path, output: Path) -> None:
    """Give a finished folder its name, after its files are on the disk: the name says that it is whole."""
    mask = os.umask(0)
    os.umask(mask)
    for path in filter(Path.is_file, finished.iterdir()):
        path.chmod(0o666 & ~mask)  # safetensors writes files that no other user may read
    for path in (*finished.iterdir(), finished):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finished.rename(output)
