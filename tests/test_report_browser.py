"""The report as a reader sees it, in real headless Chromium: charts, folding, filters, keyboard, themes, a narrow
screen, hostile text. No request may leave the page and no error stand in the console, in any of these tests.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from solver.report import write_report
from tests.test_report import HEADER, attempt, journal, prediction

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `make browser` installs it"),
]

EVIL = (
    "<script>window.pwned = 'script'</script><img src=x onerror=\"window.pwned = 'img'\">"
    "</script><svg onload=\"window.pwned='svg'\">\u202egnp.exe\u2066 \x1b[31m {{ 7 * 7 }} &lt;b&gt; </textarea></title>"
)
TRICKS = (
    r"$\href{javascript:window.pwned='href'}{x}$ $\includegraphics{http://127.0.0.1:9/x.png}$ "
    r"$\htmlStyle{position:fixed;top:0;width:9999px}{x}$ $\def\a{\a\a}\a$ $\rule{9999em}{9999em}$ $\kern-9999em over$ "
    r"$\url{http://127.0.0.1:9}$ \(\frac{1}{2}\) \boxed{7} $unclosed and $5 $"
)
CODE = "import math\n# note <script>\nprint('<img src=x onerror=alert(1)>', math.pi)"


def tir_text(answer: int) -> str:
    call = f"<tool_call>\n{CODE}\n</tool_call>\n```output\n3.14\n```\n"
    return f"<think>Let $x^2 = {answer}$.\n{call}</think>\\boxed{{{answer}}}"


def evil_attempt(index: int, answer: int | None, **more: Any) -> dict[str, Any]:
    return attempt(index, answer, text=EVIL + TRICKS + "\n```python\n" + EVIL + "\n```\n", error=EVIL, **more)


def make_run(path: Path, *, wrong: bool = False) -> Path:
    lines: list[dict[str, Any]] = [
        {**HEADER, "config": {"budget": {"time_limit_seconds": 90.0}, "evil": EVIL}, "num_problems": 4}
    ]
    for n in range(3):
        name, executions = f"p{n}", [{"status": "ok", "output": "3.14", "seconds": 0.5, "started": 3.0 + 10 * n}]
        answer = 8 if wrong or n == 1 else 7
        for index in range(4):
            own = 7 if index == 3 else answer
            lines.append(
                attempt(index, own, problem_id=name, text=tir_text(own), executions=executions)
                | {"started": 1.0 + 10 * n, "seconds": 5.0 + index, "mean_entropy": 0.2 + index / 10}
            )
        votes = [{"answer": answer, "votes": 3, "attempts": [0, 1, 2]}, {"answer": 7, "votes": 1, "attempts": [3]}]
        more: dict[str, Any] = {
            "started": 1.0 + 10 * n,
            "budget_seconds": 9.0,
            "candidates": votes[: 1 + (answer != 7)],
        }
        lines.append(prediction(answer, problem_id=name, decided_by="consensus", **more))
    lines += [evil_attempt(0, 5, problem_id=EVIL, stop_reason=EVIL), evil_attempt(1, None, problem_id=EVIL)]
    lines.append(prediction(5, problem_id=EVIL, problem=EVIL + TRICKS, invented=EVIL))
    lines.append({"kind": "end", "summary": {"ended": "done", "seconds": 40.0, "solving_seconds": 39.0}})
    return journal(path, *lines)


class Reader:
    """A tab on the report, and everything that it said or asked for."""

    def __init__(self, tab: Any, page: Path) -> None:
        self.tab, self.complaints = tab, list[str]()
        tab.set_default_timeout(90_000)  # a busy machine starves a browser of frames
        tab.on("console", lambda message: self.complaints.append(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        tab.on("request", lambda request: self._asked(request.url, page))
        tab.goto(page.as_uri())

    def _asked(self, url: str, page: Path) -> None:
        if not url.startswith((page.as_uri(), "data:", "blob:")):
            self.complaints.append(f"request: {url}")

    def problem(self, number: int) -> Any:
        return self.tab.locator(f"#p0-{number}")

    def open(self, number: int, attempt: int = 0) -> Any:
        """Open a problem and one of its attempts; its transcript."""
        problem = self.problem(number)
        if problem.get_attribute("open") is None:
            problem.locator("> summary").click()
        problem.locator(".read").nth(attempt).click()
        transcript = problem.locator(".transcript[data-drawn]")
        transcript.wait_for()
        return transcript


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report([make_run(folder / "run.jsonl")], folder / "run.html")
    return folder / "run.html"


@pytest.fixture
def reader(browser: Any, page: Path) -> Iterator[Reader]:
    yield from read(browser, page)


def read(browser: Any, page: Path, **options: Any) -> Iterator[Reader]:
    context = browser.new_context(**options)
    reader = Reader(context.new_page(), page)
    yield reader
    context.close()
    assert reader.complaints == []


def test_the_timeline_and_the_distributions_are_drawn(reader: Reader) -> None:
    reader.tab.wait_for_selector("#timeline-0[data-drawn]")
    bars = reader.tab.locator("#timeline-0 .bar-path")
    assert sum(path.get_attribute("d").count("M") for path in bars.all()) == 14
    assert reader.tab.locator("#timeline-0 .code-call").get_attribute("d").count("M") == 12
    assert reader.tab.locator("#timeline-0 .end-of-time").get_attribute("d").count("M") == 3
    assert "right answer" in reader.tab.locator("#timeline-0 .legend").inner_text()
    for name in ("tokens-0", "seconds-0", "code-calls-0", "mean-token-entropy-0"):
        chart = reader.tab.locator(f"[data-figure='{name}']")
        chart.scroll_into_view_if_needed()
        reader.tab.wait_for_selector(f"[data-figure='{name}'][data-drawn] .barlayer path")


def test_the_timeline_zooms_tells_and_opens_an_attempt(reader: Reader) -> None:
    tab, chart = reader.tab, reader.tab.locator("#timeline-0 svg")
    tab.wait_for_selector("#timeline-0[data-drawn]")
    tab.locator("#timeline h2").evaluate("heading => heading.scrollIntoView()")
    before = chart.locator("text").all_text_contents()
    box = chart.bounding_box()
    tab.mouse.move(box["x"] + 130, box["y"] + 104)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 400, box["y"] + 104)
    tab.mouse.up()
    assert chart.locator("text").all_text_contents() != before
    tab.mouse.dblclick(box["x"] + 300, box["y"] + 20)
    assert chart.locator("text").all_text_contents() == before
    place = """() => { const chart = document.querySelector("#timeline-0").timeline, at = chart.frame.getBoundingClientRect();
        return [at.x + chart.x(12), at.y + chart.y(1, 0) + 2] }"""  # noqa: E501  the first attempt of the second problem
    tab.mouse.move(*tab.evaluate(place))
    assert "p1, attempt 0: 8" in tab.locator("#timeline-0 .tip").inner_text()
    tab.mouse.click(*tab.evaluate(place))
    reader.problem(1).locator(".transcript[data-drawn]").wait_for()


def test_cards_tell_the_score_and_losses_their_cause(reader: Reader) -> None:
    assert reader.tab.locator(".card .figure").first.inner_text() == "2/4"
    assert "not chosen" in reader.tab.locator("#losses").inner_text()
    reader.tab.locator("#losses .go").first.click()
    assert reader.problem(1).get_attribute("open") is not None


def test_problems_fold_and_a_transcript_shows_formulas_code_and_output(reader: Reader) -> None:
    assert reader.tab.locator(".transcript, .attempts").count() == 0
    transcript = reader.open(0)
    assert transcript.locator("math msup").count() >= 1
    assert transcript.locator(".code .k").first.inner_text() == "import"
    assert "note <script>" in transcript.locator(".code .c").inner_text()
    assert "ok, 0.5 s" in transcript.locator(".output").inner_text()
    assert "\\boxed" not in transcript.inner_text()
    votes = reader.problem(0).locator(".votes").inner_text()
    assert "7" in votes
    assert "3 · chosen" in votes
    reader.problem(0).locator("> summary").click()
    assert not transcript.is_visible()


def test_a_click_anywhere_on_an_attempt_reads_it_and_empty_columns_are_left_out(reader: Reader) -> None:
    reader.open(0)
    heads = reader.problem(0).locator(".attempts th").all_inner_texts()
    assert heads == ["", "attempt", "answer", "ended", "tokens", "code calls", "started", "seconds", "entropy"]
    reader.problem(0).locator("tr.attempt").nth(1).locator("td").nth(3).click()
    reader.problem(0).locator(".transcript[data-drawn]").nth(1).wait_for()


def test_on_paper_the_timeline_is_there_though_it_was_never_on_the_screen(browser: Any, page: Path) -> None:
    for reader in read(browser, page, viewport={"width": 1000, "height": 120}):
        assert reader.tab.locator("#timeline-0[data-drawn]").count() == 0
        reader.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert reader.tab.locator("#timeline-0[data-drawn] .bar-path").count() > 0


def test_filters_and_search_find_problems_and_transcripts(reader: Reader) -> None:
    tab = reader.tab
    tab.locator(".state").select_option("wrong")
    assert tab.locator(".problem:visible").count() == 2
    tab.locator(".state").select_option("")
    tab.locator(".words").fill("p2")
    assert tab.locator(".problem:visible").count() == 1
    tab.locator(".words").fill("")
    tab.locator(".deep").fill("math.PI")
    tab.keyboard.press("Enter")
    tab.locator(".hits a").nth(11).wait_for()
    assert tab.locator(".hits a").count() == 12
    tab.locator(".hits a").nth(5).click()
    assert reader.problem(1).locator(".transcript").count() == 1


def test_everything_can_be_done_by_keyboard(reader: Reader) -> None:
    tab = reader.tab
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert "current" in (reader.problem(1).get_attribute("class") or "")
    tab.keyboard.press("Enter")
    reader.problem(1).locator(".attempts").wait_for()
    tab.keyboard.press("Escape")
    assert reader.problem(1).get_attribute("open") is None
    tab.keyboard.press("k")
    assert "current" in (reader.problem(0).get_attribute("class") or "")
    tab.keyboard.press("w")
    assert tab.locator(".problem:visible").count() == 2
    tab.keyboard.press("/")
    tab.keyboard.type("p1")
    assert tab.locator(".problem:visible").count() == 1
    tab.keyboard.press("Escape")
    tab.keyboard.press("?")
    assert tab.locator("#keys").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator("#keys").is_visible()


def test_what_the_keyboard_opens_is_moved_onto_the_screen(browser: Any, page: Path) -> None:
    for reader in read(browser, page, viewport={"width": 900, "height": 320}):
        for key in ("j", "j", "Enter"):
            reader.tab.keyboard.press(key)
        reader.problem(1).locator(".statement").wait_for()
        reader.tab.wait_for_function("document.querySelector('#p0-1 .statement').getBoundingClientRect().bottom < 320")


def test_hostile_text_is_shown_and_does_nothing(reader: Reader) -> None:
    tab = reader.tab
    tab.wait_for_selector("#timeline-0[data-drawn]")
    transcript = reader.open(3)
    shown = transcript.inner_text()
    for literal in (
        "<script>window.pwned",
        "<img src=x",
        "⟦U+202E⟧gnp.exe",
        "⟦U+001B⟧[31m",
        "{{ 7 * 7 }}",
        "&lt;b&gt;",
    ):
        assert literal in shown
    assert transcript.locator("a, img, script, svg, iframe, [onload], [onerror], [style*='fixed']").count() == 0
    assert transcript.locator("mfrac").count() >= 1
    assert "⟦U+202E⟧" in tab.locator("#p0-3 .statement").inner_text()
    assert "invented" in tab.locator("#p0-3 .extra").first.inner_text()
    tab.locator("#settings summary").click()
    assert "window.pwned" in tab.locator("#settings table").inner_text()
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.pwned") is None
    assert tab.locator("body script:not([type])").count() == 1
    assert tab.evaluate("document.documentElement.innerHTML").count("\u202e") == 0


def test_formulas_cannot_lie_over_the_rest_of_the_page(reader: Reader) -> None:
    transcript = reader.open(3)
    around = transcript.bounding_box()
    assert transcript.evaluate("e => getComputedStyle(e).contain").startswith(("content", "layout"))
    assert around["height"] <= 0.76 * reader.tab.viewport_size["height"] + 2


def test_no_script_but_the_page_s_own_could_run(reader: Reader) -> None:
    reader.tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.pwned=1\" id=bait>x</b>')")
    reader.tab.evaluate("document.getElementById('bait').click()")
    assert reader.tab.evaluate("window.pwned") is None
    reader.complaints[:] = [c for c in reader.complaints if "Content Security Policy" not in c]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_can_be_switched(browser: Any, page: Path, scheme: str) -> None:
    for reader in read(browser, page, color_scheme=scheme):

        def luminance(reader: Reader = reader) -> int:
            colour = reader.tab.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(part) for part in colour[4:-1].split(","))

        assert (luminance() < 200) == (scheme == "dark")
        reader.tab.wait_for_selector("#timeline-0[data-drawn]")
        reader.tab.keyboard.press("t")
        assert (luminance() < 200) == (scheme == "light")


def test_a_screen_of_360_pixels_needs_no_sideways_scrolling(browser: Any, page: Path) -> None:
    for reader in read(browser, page, viewport={"width": 360, "height": 740}):
        reader.tab.locator("#timeline-0").scroll_into_view_if_needed()
        reader.tab.wait_for_selector("#timeline-0[data-drawn]")
        reader.open(3)
        assert reader.tab.evaluate("document.documentElement.scrollWidth") <= 360
        assert reader.problem(3).locator(".read").first.bounding_box()["height"] < 40  # one line
        assert reader.problem(0).locator("> summary").bounding_box()["width"] <= 360


def test_text_contrast_is_enough_in_both_themes(browser: Any, page: Path) -> None:
    script = """() => { const style = getComputedStyle(document.documentElement), channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
      const light = (name) => { const hex = style.getPropertyValue(name).trim().slice(1); const [r, g, b] = [0, 2, 4].map((i) => channel(parseInt(hex.slice(i, i + 2), 16))); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
      const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
      return ["--ink", "--dim", "--accent", "--right", "--wrong"].map((name) => [name, ratio(name, "--panel"), ratio(name, "--ground")]) }"""  # noqa: E501
    for scheme in ("light", "dark"):
        for reader in read(browser, page, color_scheme=scheme):
            for name, on_panel, on_ground in reader.tab.evaluate(script):
                assert min(on_panel, on_ground) >= 4.5, f"{name} in {scheme}"


def test_two_runs_are_compared_and_can_be_switched_between(browser: Any, tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a.jsonl"), make_run(tmp_path / "b.jsonl", wrong=True)
    write_report([a, b], tmp_path / "both.html")
    for reader in read(browser, tmp_path / "both.html"):
        row = reader.tab.locator("#comparison tbody tr").first.locator("td").all_inner_texts()
        assert row[:8] == ["a.jsonl", "b.jsonl", "4", "0", "2", "0", "2", "-2"]
        reader.tab.locator("button.run").nth(1).click()
        assert reader.tab.locator(".card:visible .figure").first.inner_text() == "0/4"
        reader.tab.locator("#timeline-1").scroll_into_view_if_needed()
        reader.tab.wait_for_selector("#timeline-1[data-drawn]")
        assert reader.tab.locator("#p1-0").is_visible()
        assert not reader.tab.locator("#p0-0").is_visible()


def test_an_empty_journal_s_page_says_so(browser: Any, tmp_path: Path) -> None:
    write_report([journal(tmp_path / "empty.jsonl")], tmp_path / "empty.html")
    for reader in read(browser, tmp_path / "empty.html"):
        assert "the journal is empty" in reader.tab.locator("[role=alert]").inner_text()


def test_a_long_transcript_is_shown_in_pieces(browser: Any, tmp_path: Path) -> None:
    text = "word $x$ " * 40_000
    write_report([journal(tmp_path / "long.jsonl", HEADER, attempt(0, 7, text=text))], tmp_path / "long.html")
    for reader in read(browser, tmp_path / "long.html"):
        transcript = reader.open(0)
        before = len(transcript.text_content())
        transcript.get_by_text("Show more").click()
        assert len(transcript.text_content()) > before


def test_the_embedded_data_cannot_end_its_script_element(page: Path) -> None:
    text = page.read_text("utf-8")
    data = text.split('id="data">', 1)[1].split("</script>", 1)[0]
    assert "<" not in data
    assert json.loads(data)["runs"][0]["problems"][3]["id"].startswith("<script>")
