"""Hostile code against the sandbox, at every level of privilege that it may be started with.

The corpus is in `data/hostile`; `hostile_run.py` looks around after every snippet: a canary's bytes and metadata, a
listening port of each kind, the zygote, a fresh session within a second, processes left behind, the solver's memory.
It runs in a process of its own, which `privileges.py` has made an ordinary user or docker's root first.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
ROOT_LEVELS = ("root", "docker", "docker-closed", "user")
LEVELS = ROOT_LEVELS if os.geteuid() == 0 else ("as we are",)
LANDLOCK_ONLY = ("namespaces",)
NEITHER = ("namespaces", "landlock")
Findings = tuple[list[dict[str, Any]], dict[str, Any]]
"""What was found, and the last line's figures."""
A_FEW = ["read the canary", "chmod the canary", "fork", "connect to the port", "a forged reply", "kill the solver"]


def run_corpus(level: str, without: tuple[str, ...], names: list[str]) -> Findings:
    command = [sys.executable, str(TESTS / "hostile_run.py"), json.dumps({"without_layers": without}), *names]
    if level in ROOT_LEVELS[1:]:
        command = [sys.executable, str(TESTS / "privileges.py"), level, *command]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent), "HOME": "/"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return [it for it in said if "finding" in it], said[-1]


@pytest.mark.parametrize("level", [level for level in LEVELS if "docker" in level] or LEVELS)
def test_a_few_hostile_snippets_reach_nothing(level: str) -> None:
    """The levels that get the whole corpus with `make hostile` alone."""
    findings, figures = run_corpus(level, (), A_FEW)
    assert findings == []
    assert figures["done"] >= len(A_FEW)


def in_turn(level: str) -> Any:
    """Root and user every time; docker's two kinds of root, as the rarer layers below, with `make hostile`."""
    return pytest.param(level, marks=pytest.mark.slow if "docker" in level else pytest.mark.real)


@pytest.fixture(scope="module")
def whole_corpus(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Findings]]]:
    """A run at each level whose test was asked for, all at once: most of the time they wait."""
    items: list[Any] = [item for item in request.session.items if "whole_corpus" in getattr(item, "fixturenames", ())]
    with ThreadPoolExecutor() as pool:
        yield {level: pool.submit(run_corpus, level, (), []) for level in {it.callspec.params["level"] for it in items}}


@pytest.mark.parametrize("level", [in_turn(level) for level in LEVELS])
def test_no_hostile_snippet_reaches_anything(level: str, whole_corpus: Mapping[str, Future[Findings]]) -> None:
    findings, figures = whole_corpus[level].result()
    assert findings == []
    assert figures["done"] > 200


@pytest.mark.slow
@pytest.mark.parametrize("without", [LANDLOCK_ONLY, NEITHER], ids=["Landlock alone", "no Landlock"])
@pytest.mark.parametrize("level", LEVELS[-1:])
def test_no_hostile_snippet_reaches_anything_with_fewer_layers(level: str, without: tuple[str, ...]) -> None:
    findings, _ = run_corpus(level, without, [])
    assert findings == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot is root's")
def test_no_hostile_snippet_leaves_the_chroot_where_there_is_no_landlock() -> None:
    findings, _ = run_corpus("docker", NEITHER, [])
    assert findings == []
