"""Deletes a directory tree that hostile code made: of any depth, with any modes, following no link."""

import contextlib
import os
from pathlib import Path


def remove_tree(path: str) -> None:
    """Nothing that is left of it is an error: it lies below the temporary directory."""
    with contextlib.suppress(OSError):
        _empty(path)
        Path(path).rmdir()


def _empty(top: str) -> None:
    """Directories are moved up to `top` before they are emptied, so that neither depth nor path length grows."""
    moved = 0
    while entries := list(os.scandir(top)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            Path(entry.path).chmod(0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    moved += 1
                    Path(inner.path).chmod(0o700)
                    Path(inner.path).rename(f"{top}/moved-{moved}-{os.urandom(8).hex()}")
                else:
                    Path(inner.path).unlink()
            Path(entry.path).rmdir()
