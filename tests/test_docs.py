"""Every command that the pages of docs/ show is run, page by page, in a folder that holds `examples/`.

A fenced block of `console` is run by bash as it stands; one that a comment `slow` stands before runs with the marker
`slow`. A block of `sh` is not run, and a comment on the page says why. Blocks of `python` are run too.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.figures import attempts_used, fill_in, table

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
_BLOCK = re.compile(
    r"(?P<slow><!-- slow -->\n)?^(?P<indent> *)```(?P<language>console|sh|python)\n(?P<body>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)


def blocks(page: Path, language: str, *, slow: bool = False) -> list[str]:
    return [
        match["body"]
        for match in _BLOCK.finditer(page.read_text("utf-8"))
        if match["language"] == language and bool(match["slow"]) == slow
    ]


def run_block(body: str, folder: Path, timeout: float) -> None:
    """As a reader would in the activated environment: `python` is the one that runs the tests."""
    (folder / "bin").mkdir(exist_ok=True)
    python = folder / "bin" / "python"
    if not python.exists():
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
        python.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(DOCS.parent),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", body],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(DOCS.parent / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=lambda page: page.stem)
def test_every_command_of_the_page_runs(page: Path, folder: Path) -> None:
    for body in blocks(page, "console"):
        run_block(body, folder, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "console", slow=True)], ids=lambda page: page.stem
)
def test_every_slow_command_of_the_page_runs(page: Path, folder: Path) -> None:
    for body in blocks(page, "console", slow=True):
        run_block(body, folder, timeout=900)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem)
def test_every_script_of_the_page_runs(page: Path, folder: Path) -> None:
    for number, body in enumerate(blocks(page, "python")):
        (folder / f"script{number}.py").write_text(body, "utf-8")
        run_block(f"python script{number}.py", folder, timeout=900)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=lambda page: page.stem)
def test_what_is_not_run_says_why(page: Path) -> None:
    assert "<!-- not run: " in page.read_text("utf-8")


def test_every_figure_of_the_pages_is_drawn_from_the_benches_results() -> None:
    for page in PAGES:
        assert "<!-- figure:" not in fill_in(page.read_text("utf-8"))
    for row in table("consensus.md", "## Cross-validated by problem"):
        assert row["set"] in attempts_used()
    with pytest.raises(LookupError, match="has no table behind '## Gone'"):
        table("consensus.md", "## Gone")


def test_the_pages_tell_of_every_command() -> None:
    from solver.cli import app

    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    for command in app.registered_commands:
        name = (command.name or command.callback.__name__) if command.callback else ""
        assert f"solver {name}" in text, name
