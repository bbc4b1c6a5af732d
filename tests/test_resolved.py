"""What `config --resolved` prints is the same configuration again, family included."""

from dataclasses import replace
from pathlib import Path

import pytest

from solver.chat.families import FAMILIES
from solver.chat.family import Family, Sampling
from solver.chat.settle import settle
from solver.config import LEFT_TO_THE_FAMILY, SolverConfig, load_config, setting_sources
from solver.resolved import resolved_toml


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
