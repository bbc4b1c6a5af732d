"""How every command line of this repository ends."""

import signal
import sys
from collections.abc import Iterator

import pytest
import typer

import merge.cli
import solver.cli
import submission.cli
from solver.entry import run_commands, unwind_on_sigterm
from solver.errors import InputError, SolverError, UsageError

ENDINGS: dict[str, tuple[BaseException | None, int, str]] = {
    "done": (None, 0, ""),
    "exit": (SystemExit(3), 3, ""),
    "error": (InputError("no such file"), 1, "error: no such file\n"),
    "usage": (UsageError("no such preset"), 2, "error: no such preset\n"),
    "interrupted": (KeyboardInterrupt(), 130, "error: nothing was done\n"),
    "missing": (
        ModuleNotFoundError("No module named 'grpc'", name="grpc"),
        1,
        "error: grpc is not installed: pip install -c constraints.txt '.[kaggle]'\n",
    ),
}


@pytest.fixture(autouse=True)
def handler_of_the_tests() -> Iterator[None]:
    """`merge` and `submission` set one of their own."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def app_that(ending: BaseException | None) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        if ending is not None:
            raise ending

    return app


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_is_an_exit_code_and_at_most_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ending, code, said = ENDINGS[name]
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as left:
        run_commands(app_that(ending), interrupted="nothing was done", extra="kaggle")
    assert left.value.code == code
    assert capsys.readouterr().err == said


def test_sigterm_unwinds_the_command_and_is_told_as_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app, done = typer.Typer(pretty_exceptions_enable=False), []

    @app.command()
    def command() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            done.append("cleared")

    monkeypatch.setattr(sys, "argv", ["program"])
    unwind_on_sigterm()
    with pytest.raises(SystemExit) as left:
        run_commands(app, interrupted="nothing was done")
    assert left.value.code == 143
    assert capsys.readouterr().err == "error: nothing was done\n"
    assert done == ["cleared"]


def test_a_missing_module_is_a_bug_where_no_extra_would_bring_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(ModuleNotFoundError):
        run_commands(app_that(ModuleNotFoundError("x", name="x")), interrupted="")


@pytest.mark.parametrize("package", [solver.cli, merge.cli, submission.cli])
def test_every_command_line_tells_an_unknown_option_in_one_line(
    package: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = package.main  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", ["program", "--no-such-option"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: No such option: --no-such-option")
    assert said.count("\n") == 1


def test_without_a_command_the_help_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as left:
        submission.cli.main()
    assert left.value.code == 2
    assert "\n  rehearse  Run a bundle as Kaggle would" in capsys.readouterr().out


def test_a_solver_error_says_its_own_exit_code() -> None:
    assert (SolverError("").exit_code, UsageError("").exit_code) == (1, 2)
