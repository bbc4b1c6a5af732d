"""Which embedded model a run gets, and what is said where it cannot be made."""

import asyncio
import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from solver.errors import ModelError
from solver.model import embedded_folder, find_model, miniature_folder
from tests.conftest import PROJECT


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package `merge`, with adapters of a few bytes; the cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    package = tmp_path / "merge"
    for name in ("cot", "tir"):
        (package / "miniature/adapters" / name).mkdir(parents=True)
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            (package / "miniature/adapters" / name / file).write_text(f"{name} {file}", "utf-8")
    (package / "recipes").mkdir()
    (package / "recipes/miniature.yml").write_text("recipe", "utf-8")
    spec = ModuleSpec("merge", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "merge" else None)
    return package


@pytest.mark.parametrize("file", ["miniature/adapters/tir/adapter_model.safetensors", "recipes/miniature.yml"])
def test_new_adapters_or_a_new_recipe_make_another_folder(package: Path, file: str) -> None:
    before = miniature_folder()
    assert before == miniature_folder()
    (package / file).write_text("new", "utf-8")
    assert miniature_folder() != before
    assert miniature_folder().parent == embedded_folder().parent


def test_without_adapters_the_untrained_base_is_not_taken_in_silence(package: Path) -> None:
    for file in package.glob("miniature/adapters/*/*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"adapters are missing .* --set engine\.embedded=base"):
        asyncio.run(find_model(None))


def test_a_built_miniature_is_used_and_the_base_only_where_it_is_asked_for(package: Path) -> None:
    for folder in (miniature_folder(), embedded_folder()):
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
    assert asyncio.run(find_model(None)) == miniature_folder()
    assert asyncio.run(find_model(None, "base")) == embedded_folder()


def test_what_the_build_says_last_is_told(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = package.parent / "python"
    failing.write_text('#!/bin/sh\necho "merging" >&2\necho "error: no room, $*" >&2\nexit 1\n', "utf-8")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(ModelError, match=r"could not be made: no room, -m merge miniature .*/miniature-\w+$"):
        asyncio.run(find_model(None))


CONVERT = """
import json, sys, time
import solver.model
from tokenizers import Tokenizer, models

def write(folder):
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"half")
    if "hang" in sys.argv:
        print("half", flush=True)
        time.sleep(600)
    (folder / "model.safetensors").write_bytes(b"whole")
    Tokenizer(models.WordLevel({"<|im_end|>": 0}, unk_token="<|im_end|>")).save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"eos_token_id": int("wrong" in sys.argv)}))

solver.model._write_model = write
solver.model.main()
"""


def test_a_killed_or_wrong_conversion_leaves_nothing_half_made_and_the_next_one_works(tmp_path: Path) -> None:
    """The writing of the model is played: half of it, then the process hangs."""
    folder = tmp_path / "cache" / "model"
    command = [sys.executable, "-c", CONVERT, str(folder)]
    with subprocess.Popen([*command, "hang"], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert not folder.exists()
    wrong = subprocess.run([*command, "wrong"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert "converts it wrongly" in wrong.stderr
    assert not folder.exists()
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0
    assert (folder / "model.safetensors").read_bytes() == b"whole"
    assert not list(folder.parent.glob(".*.partial"))
