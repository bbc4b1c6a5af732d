"""The pictures of the README: the report in Chromium, and the live view. Both show a run that is made up.

python docs/screenshots.py
"""

import io
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.report_page import write_journal
from solver.live import draw
from solver.report import write_report
from solver.status import AttemptStatus, ProblemStatus, RunStatus
from solver.types import Candidate, Deadline, EngineInfo, Prediction

IMAGES = Path(__file__).parent / "images"


def live_view() -> str:
    """The live view as SVG: the 13th of 50 problems, some of its attempts in Python, two answers so far."""
    now = time.monotonic()
    status = RunStatus(num_problems=50, process_start=now - 4_500, deadline=Deadline(now + 13_400))
    status.engine = EngineInfo("vllm", "0.32", "model", "cuda", "bfloat16", 40_960, 64, 60.0, kv_cache_tokens=620_000)
    status.predictions = [Prediction(f"p{n}", n, "consensus", (), 300.0, correct=n != 4) for n in range(12)]
    status.count_sessions, status.num_code_calls_done, status.num_failed_calls_done = (lambda: 14), 611, 38
    problem = ProblemStatus("9c1c5f", 13, Deadline(now + 212))
    for n in range(16):
        attempt = AttemptStatus(4_000 + n * 731 % 5_000, n in (3, 9), num_prompt_tokens=220, began=now - 148)
        attempt.num_code_calls, attempt.num_failed_calls = n * 5 % 7, int(n == 6)
        if n in (2, 5, 7, 12, 14):
            attempt.finished, attempt.ended, attempt.stop_reason = True, now - 10 * n % 60, "answered"
            attempt.answer = 52 if n != 7 else 250
        problem.attempts[n] = attempt
    problem.candidates = [Candidate(52, 4, (2, 5, 12, 14)), Candidate(250, 1, (7,))]
    status.in_flight[problem.id] = problem
    console = Console(record=True, width=132, height=24, file=io.StringIO(), force_terminal=True)
    console.print(draw(status, 2_140.0, 132, 24))
    return console.export_svg(title="python -m solver solve problems.csv --model DIR --competition aimo-3")


def main() -> None:
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        write_journal(folder / "submission.journal.jsonl", problems=16, attempts=16, megabytes=1, seed=9)
        write_report([folder / "submission.journal.jsonl"], folder / "run.html")
        svg = live_view().replace("https://cdnjs.cloudflare.com", "about:")
        (folder / "live.html").write_text(f"<meta charset=utf-8><body style='margin:0'>{svg}", "utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab: Any = browser.new_page(viewport={"width": 1200, "height": 1310})
        tab.set_default_timeout(240_000)
        tab.goto((folder / "run.html").as_uri())
        tab.wait_for_selector("#timeline-0[data-drawn]")
        tab.evaluate("document.querySelector('#timeline-0').timeline.zoom(0, 5400)")  # as far as problems took
        tab.screenshot(path=IMAGES / "report.png")
        tab.set_viewport_size({"width": 1200, "height": 900})
        tab.locator("#p0-1 > summary").click()
        tab.locator("#p0-1 .read").first.click()
        tab.wait_for_selector(".transcript[data-drawn]")
        tab.locator("#p0-1").evaluate("problem => problem.scrollIntoView()")
        tab.screenshot(path=IMAGES / "problem.png")
        tab.goto((folder / "live.html").as_uri())
        tab.locator("svg").first.screenshot(path=IMAGES / "live.png")
        browser.close()


if __name__ == "__main__":
    main()
