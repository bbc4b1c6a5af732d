"""What `config --resolved` prints is the same configuration again, family included."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from solver.chat.families import FAMILIES
from solver.chat.family import Family, Sampling
from solver.chat.settle import MAX_MODEL_LEN, MAX_TOKENS, settle
from solver.chat.table import table
from solver.config import (
    LEFT_TO_THE_FAMILY,
    SolverConfig,
    load_config,
    preset_comment,
    preset_names,
    preset_path,
    setting_sources,
)
from solver.resolved import resolved_toml
from tests.conftest import run_solver


def through_a_file(folder: Path, preset: str, settings: tuple[str, ...] = ()) -> SolverConfig:
    path = folder / "mine.toml"
    path.write_text(resolved_toml(load_config(preset, None, settings), setting_sources(preset, None, settings)))
    return load_config(file=path)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda it: it.name)
@pytest.mark.parametrize("settings", [(), ("sampling.top_k=5", "attempts.max_tokens=1000")])
def test_a_file_of_the_resolved_configuration_leaves_to_the_family_what_the_preset_does(
    tmp_path: Path, family: Family, settings: tuple[str, ...]
) -> None:
    direct = settle(load_config("auto", settings=settings), family)
    assert settle(through_a_file(tmp_path, "auto", settings), family) == direct


def test_gpt_oss_keeps_its_sampling_and_calls_through_a_file(tmp_path: Path) -> None:
    settled = settle(through_a_file(tmp_path, "auto"), FAMILIES["gpt-oss"])
    assert (settled.sampling.temperature, settled.sampling.top_p, settled.chat.max_code_calls) == (1.0, 1.0, 100)


def test_what_a_family_fills_in_is_listed_as_left_to_it() -> None:
    odd = replace(
        FAMILIES["qwen3"], max_code_calls=77, sampling=Sampling(0.11, 0.22, 33, 0.44), max_tokens=55, context=66
    )
    before, after = SolverConfig(), settle(SolverConfig(), odd)
    changed = {
        f"{section}.{name}"
        for section in ("chat", "sampling", "attempts", "engine")
        for name, value in getattr(before, section).model_dump().items()
        if getattr(after, section).model_dump()[name] != value
    }
    assert changed == LEFT_TO_THE_FAMILY | {"chat.family"}


def model_folder(folder: Path, model_type: str) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), "utf-8")
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    return folder


def test_config_shows_what_the_family_of_a_folder_fills_in(tmp_path: Path) -> None:
    shown = run_solver("config", "--model", model_folder(tmp_path, "gpt_oss"), "--set", "sampling.top_p=0.9").stdout
    assert "# model family gpt-oss: model_type gpt_oss" in shown
    for line in (
        "# temperature = 1.0  # family gpt-oss",
        "top_p = 0.9  # --set",
        "# max_tokens = 32768  # family gpt-oss, cut from 120000",
        "# max_code_calls = 100  # family gpt-oss",
        "num_attempts = 16  # preset auto",
        f'model = "{tmp_path}"  # option',
    ):
        assert line in shown.splitlines()


@pytest.mark.parametrize("preset", ["auto", "openmath"])
def test_config_shows_what_a_named_family_fills_in(preset: str) -> None:
    settings = ("--set", "chat.family=qwen3")
    shown = run_solver("config", "--preset", preset, *settings).stdout.splitlines()
    assert "# top_k = 20  # family qwen3" in shown
    assert ("temperature = 0.6  # preset openmath" in shown) == (preset == "openmath")


def test_a_model_named_by_set_is_a_model_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, "gpt_oss")
    named, by_set = run_solver("config", "--model", folder), run_solver("config", "--set", f"engine.model={folder}")
    assert "# temperature = 1.0  # family gpt-oss" in by_set.stdout
    assert by_set.stdout.replace("--set", "option") == named.stdout.replace("--model", "option")


def test_a_file_made_for_one_model_leaves_another_its_own_values(tmp_path: Path) -> None:
    shown = run_solver("config", "--resolved", "--preset", "auto", "--set", "chat.family=qwen3").stdout
    (tmp_path / "mine.toml").write_text(shown, "utf-8")
    other = load_config(file=tmp_path / "mine.toml", settings=["chat.family=gpt-oss"])
    assert settle(other, FAMILIES["gpt-oss"]) == settle(load_config("auto"), FAMILIES["gpt-oss"])


def test_a_folder_of_no_known_family_is_one_line(tmp_path: Path) -> None:
    done = run_solver("config", "--model", model_folder(tmp_path, "unheard"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "cannot tell the model family" in done.stderr
    assert "no model folder" in run_solver("config", "--model", tmp_path / "none").stderr


def test_the_docs_name_the_presets_that_raise_what_a_family_may_fill_in() -> None:
    presets = {name: load_config(name) for name in preset_names()}
    raised = {
        name
        for name, config in presets.items()
        if config.attempts.max_tokens > MAX_TOKENS or config.engine.max_model_len > MAX_MODEL_LEN
    }
    said = table().partition("| `chat.family`")[0]
    assert {name for name in presets if f"`{name}`" in said} == raised
    assert f"cut to {MAX_MODEL_LEN:,} and {MAX_TOKENS:,}" in said
    assert settle(load_config("auto"), FAMILIES["gpt-oss"]).attempts.max_tokens == MAX_TOKENS


def test_config_lists_the_presets_with_what_each_is_for_and_where_its_numbers_come_from() -> None:
    shown = " ".join(run_solver("config").stdout.split())
    for name in preset_names():
        assert f" {name}: {preset_comment(name)}" in shown
        assert preset_path(name).read_text("utf-8").startswith(f"# {preset_comment(name)[:40]}")
    assert str(preset_path("auto").parent) in shown
