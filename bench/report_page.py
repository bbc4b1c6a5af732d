"""The report of a long run: a journal of 50 problems with 16 attempts each and 100 MB, made up; how long the command
takes, how much memory, how large the page is, and how long real Chromium needs to open it.

Goals: command under 30 s and 1 GB, page open in under 3 s. Opening is from the navigation to the page's load event and
its timeline drawn; the browser is started before.
"""

import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.report import table, write_report

PROSE = """we have that the number of points on circle is therefore equal to consider triangle with sides let denote
by since modulo prime divides product sum over all such pairs so it follows from symmetry but wait check again case
hence contradiction maximum value integer polynomial root sequence each term bound lemma induction step claim"""
CODE = """import sympy as sp
from itertools import product

def f(n):
    # count them one by one
    return sum(1 for a, b in product(range(n), repeat=2) if (a * b) % {n} == {m})

print(f({n}))"""


def write_journal(path: Path, *, problems: int = 50, attempts: int = 16, megabytes: float = 100, seed: int = 1) -> None:
    """A journal as `solver solve` writes it, of a run over `problems` within five hours."""
    rng = random.Random(seed)
    chars = int(megabytes * 1_000_000 / (problems * attempts))
    with path.open("w", encoding="ascii") as file:
        for line in _lines(rng, problems, attempts, chars):
            file.write(json.dumps(line) + "\n")


def _lines(rng: random.Random, problems: int, attempts: int, chars: int) -> Iterator[dict[str, Any]]:
    budget = {"time_limit_seconds": 18_000.0, "reserve_seconds": 10.0, "policy": "bank"}
    config = {"competition": "aimo-3", "attempts": {"num_attempts": attempts}, "budget": budget}
    yield {"kind": "header", "journal_version": 1, "solver_version": "0.1.0", "config": config, "resumed": False} | {
        "num_problems": problems
    }
    clock = 60.0
    for number in range(problems):
        problem_id, reference = f"{rng.getrandbits(24):06x}", rng.randrange(100_000)
        skill = rng.random()
        records = [_attempt(rng, problem_id, i, reference, skill, clock, chars) for i in range(attempts)]
        records.sort(key=lambda record: record["started"] + record["seconds"])
        for record in records:
            yield record
        votes: dict[int, list[int]] = {}
        for record in records:
            if record["answer"] is not None:
                votes.setdefault(record["answer"], []).append(record["index"])
        ranked = sorted(votes.items(), key=lambda item: -len(item[1]))
        seconds = max(record["seconds"] for record in records)
        answer = ranked[0][0] if ranked else 0
        yield {
            "kind": "prediction",
            "text_hash": "0" * 16,
            "problem_id": problem_id,
            "answer": answer,
            "problem": f"Let $a_{{{number}}}$ be the number of pairs. Find it.",
            "reference": reference,
            "decided_by": "consensus" if ranked and len(ranked[0][1]) > 3 else "majority" if ranked else "fallback",
            "candidates": [{"answer": a, "votes": len(v), "attempts": v, "forced": False} for a, v in ranked],
            "fallback_reason": None if ranked else "no answer",
            "num_attempts": attempts,
            "num_tokens": 1000,
            "seconds": seconds,
            "correct": answer == reference,
            "started": clock,
            "budget_seconds": 358.0,
        }
        clock += seconds + 1
    yield {"kind": "end", "summary": {"ended": "done", "seconds": clock, "solving_seconds": clock - 60}}


def _attempt(
    rng: random.Random, problem_id: str, index: int, reference: int, skill: float, clock: float, chars: int
) -> dict[str, Any]:
    seconds, calls = rng.uniform(60, 340), rng.randrange(7)
    stop = "answered" if rng.random() < 0.8 else rng.choice(["cancelled", "deadline", "max_tokens", "ended"])
    answer = None if stop != "answered" else reference if rng.random() < skill else rng.randrange(100_000)
    executions = [
        {"status": rng.choice(["ok"] * 6 + ["error", "timeout"]), "output": "12", "seconds": rng.uniform(0.05, 5)}
        | {"state_kept": True, "started": clock + seconds * (call + 1) / (calls + 1)}
        for call in range(calls)
    ]
    return {
        "kind": "attempt",
        "text_hash": "0" * 16,
        "problem_id": problem_id,
        "index": index,
        "seed": index,
        "mode": "tir",
        "answer": answer,
        "stop_reason": stop,
        "text": _text(rng, chars, calls, answer),
        "num_prompt_tokens": 200,
        "num_tokens": chars // 3,
        "num_tool_tokens": 40 * calls,
        "executions": executions,
        "started": clock,
        "seconds": seconds,
        "mean_entropy": rng.uniform(0.2, 0.9),
        "forced": False,
        "turn_seeds": [index],
        "error": None,
    }


def _text(rng: random.Random, chars: int, calls: int, answer: int | None) -> str:
    parts, size = ["<think>"], 0
    sentence, vocabulary = 0, PROSE.split()
    while size < chars:
        sentence += 1
        words = " ".join(rng.choices(vocabulary, k=24))
        part = f"{words} $x_{{{rng.randrange(99)}}}^2 + {rng.randrange(9999)} \\equiv {rng.randrange(9999)}$. "
        if calls and sentence % 60 == 0:
            code = CODE.format(n=rng.randrange(2, 999), m=rng.randrange(99))
            part += f"\n<tool_call>\n{code}\n</tool_call>\n```output\n{rng.randrange(10**6)}\n```\n"
        parts.append(part)
        size += len(part)
    return "".join(parts) + "</think>" + ("" if answer is None else f"The answer is $\\boxed{{{answer}}}$.")


def build(journal: Path, page: Path) -> tuple[float, float]:
    """Seconds and peak MiB of the command as a process of its own."""
    began = time.perf_counter()
    code = (
        "import resource, sys; from pathlib import Path; from solver.report import write_report; "
        "write_report([Path(sys.argv[1])], Path(sys.argv[2])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(journal), str(page)], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - began, float(done.stdout)


def open_page(page: Path, rounds: int) -> list[dict[str, float]]:
    """What Chromium needs: seconds to the first paint, to the load event, to the timeline drawn, and to open the
    first transcript."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as playwright:
        for _ in range(rounds):
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            tab = browser.new_page()
            tab.goto("about:blank")
            began = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load", timeout=120_000)
            loaded = time.perf_counter() - began
            tab.wait_for_selector("#timeline-0[data-drawn]", timeout=120_000)
            drawn = time.perf_counter() - began
            painted = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0") / 1000
            began = time.perf_counter()
            tab.locator("#distributions .chart").last.scroll_into_view_if_needed()
            tab.wait_for_selector("#distributions .chart[data-drawn] >> nth=-1", timeout=120_000)
            plotted = time.perf_counter() - began
            began = time.perf_counter()
            tab.locator(".problem summary").first.click()
            tab.locator(".read").first.click()
            tab.wait_for_selector(".transcript[data-drawn]", timeout=60_000)
            read = time.perf_counter() - began
            found.append({"painted": painted, "loaded": loaded, "drawn": drawn, "plotted": plotted, "transcript": read})
            browser.close()
    return found


def main(arguments: Sequence[str]) -> None:
    megabytes = float(arguments[0]) if arguments else 100
    rounds = int(arguments[1]) if len(arguments) > 1 else 5
    with tempfile.TemporaryDirectory() as scratch:
        journal, page = Path(scratch) / "run.journal.jsonl", Path(scratch) / "run.html"
        write_journal(journal, megabytes=megabytes)
        built = [build(journal, page) for _ in range(2)]
        opened = open_page(page, rounds)
        sizes = journal.stat().st_size / 1e6, page.stat().st_size / 1e6
    seconds, mib = min(s for s, _ in built), max(m for _, m in built)

    def median(name: str) -> str:
        values = [entry[name] for entry in opened]
        return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"

    rows = [
        ("journal", f"{sizes[0]:.0f} MB, 50 problems, 16 attempts each", ""),
        ("page", f"{sizes[1]:.1f} MB", ""),
        ("command, whole process", f"{seconds:.1f} s", "30 s"),
        ("command, peak memory", f"{mib:.0f} MiB", "1 GB"),
        ("first paint", median("painted"), ""),
        ("load event", median("loaded"), "3 s"),
        ("open: load event and timeline drawn", median("drawn"), "3 s"),
        ("the four distributions, once scrolled to", median("plotted"), ""),
        ("a problem and its first transcript", median("transcript"), ""),
    ]
    write_report(
        "report_page",
        f"Chromium headless, {rounds} starts, median (range).\n\n" + table(("what", "figure", "goal"), rows),
        arguments,
    )
