from pathlib import Path
from typing import get_args

import pytest

from solver.cli import ENGINES
from solver.competition import find_competition
from solver.config import EngineName, load_config, parse_duration, preset_names, require_model
from solver.errors import UsageError


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_is_valid(name: str) -> None:
    assert load_config(name)


def test_settings_win_over_the_preset_and_flags_over_settings() -> None:
    config = load_config(
        settings=["attempts.num_attempts=3", "sampling.temperature=0.5"], flags={"attempts.num_attempts": 5}
    )
    assert config.attempts.num_attempts == 5
    assert config.sampling.temperature == 0.5


def test_a_file_stands_in_place_of_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('competition = "aimo-3"\n[budget]\ntime_limit_seconds = "4h50m"\n')
    config = load_config(file=path)
    assert (config.competition, config.budget.time_limit_seconds) == ("aimo-3", 17_400)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4h50m", 17_400), ("10m", 600), ("90s", 90), ("90", 90), ("1.5h", 5_400), ("1h1m1s", 3_661)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


BAD_SETTINGS = [
    ("budget.polcy=even", "unknown setting 'budget.polcy': did you mean 'budget.policy'?"),
    ("atempts.num_attempts=3", "unknown setting 'atempts': did you mean 'attempts"),
    ("sampling.top_p=3", "setting 'sampling.top_p': input should be less than or equal to 1, not 3"),
    ("attempts.num_attempts=many", "setting 'attempts.num_attempts'"),
    ("competition=aimo3", "did you mean 'aimo-3'?"),
    ("budget.time_limit_seconds=soon", "'soon' is no duration"),
    ("budget.time_limit_seconds=4h50", "'4h50' is no duration"),
    ("seed", "write it as section.name=value"),
    ("seed.x=3", "unknown setting 'seed.x'"),
    ("concurrent_problems=0", "'concurrent_problems': must be 1 or more, or auto, not 0"),
    ("concurrent_problems=lots", "'concurrent_problems': must be 1 or more, or auto, not 'lots'"),
    ("concurrent_problems=2.5", "'concurrent_problems': must be 1 or more, or auto, not 2.5"),
    ("concurrent_problems='2.5'", "'concurrent_problems': must be 1 or more, or auto, not '2.5'"),
    ("engine.foo=1", "unknown setting 'engine.foo': engine has api_key_variable, base_urls, "),
    ("engine.modle=1", "did you mean 'engine.model'?"),
    (
        "engine.speculation.methd='mtp'",
        "unknown setting 'engine.speculation.methd': did you mean 'engine.speculation.m",
    ),
    ("engine.temperature=1", "did you mean 'sampling.temperature'?"),
    ("foo=1", "unknown setting 'foo': there is attempts, budget, chat, "),
    ("engine.name=sglang", "an SGLang server is reached with the engine openai"),
    ("engine.name=vlm", "input should be 'auto', 'vllm'"),
]


@pytest.mark.parametrize(("setting", "message"), BAD_SETTINGS)
def test_a_bad_setting_is_one_line_that_names_it(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load_config("scripted", settings=["seed=1", setting])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_impossible_pair_of_bounds_is_refused() -> None:
    with pytest.raises(UsageError, match="cap_seconds 5 is below base_seconds 10"):
        load_config(settings=["budget.base_seconds=10", "budget.cap_seconds=5"])


def test_an_unknown_preset_or_competition_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'miniature'"):
        load_config("minature")
    with pytest.raises(UsageError, match="did you mean 'aimo-3-gpt-oss-120b'"):
        load_config("aimo3")
    with pytest.raises(UsageError, match="there is aimo-2-"):
        load_config("xyz")
    with pytest.raises(UsageError, match="did you mean 'aimo-2'"):
        find_competition("aimo2")


def test_the_command_knows_every_engine() -> None:
    assert set(ENGINES) == set(get_args(EngineName))


def test_a_preset_for_a_family_of_its_own_needs_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gpt-oss-120b needs --model DIR, a folder of the family gpt-oss"):
        require_model(load_config("aimo-3-gpt-oss-120b"), "aimo-3-gpt-oss-120b")
    (tmp_path / "own.toml").write_text("[chat]\nfamily = 'qwen3'\n", "utf-8")
    with pytest.raises(UsageError, match=r"own.toml needs --model DIR, a folder of the family qwen3"):
        require_model(load_config(file=tmp_path / "own.toml"), tmp_path / "own.toml")
    for preset, settings in (
        ("aimo-3-gpt-oss-120b", ["engine.model='weights'"]),
        ("aimo-3-gpt-oss-120b", ["engine.name=scripted"]),
        ("auto", []),
        ("miniature", []),
        ("scripted", []),
    ):
        require_model(load_config(preset, settings=settings), preset)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[budget")
    with pytest.raises(UsageError, match="is not TOML"):
        load_config(file=path)
    with pytest.raises(UsageError, match="cannot read the configuration"):
        load_config(file=tmp_path / "missing.toml")


def test_auto_fills_the_engine_with_problems() -> None:
    assert load_config(flags={"attempts.num_attempts": 4, "engine.max_num_seqs": 16}).lanes == 4
    assert load_config(flags={"attempts.num_attempts": 64, "engine.max_num_seqs": 16}).lanes == 1
    assert load_config(flags={"concurrent_problems": "3"}).lanes == 3


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (["consensus.quorum=4"], "quorum"),
        (["consensus.rule=margin"], "margin"),
        (["consensus.rule='esc'", "consensus.window=4"], "esc"),
        (["consensus.prior=0.5"], "forecast"),
    ],
)
def test_a_chosen_rule_leaves_what_the_preset_says_of_another(tmp_path: Path, settings: list[str], rule: str) -> None:
    (tmp_path / "own.toml").write_text("[consensus]\nrule = 'forecast'\nrisk = 0.05\nuncatchable = false\n", "utf-8")
    for config in (
        load_config("miniature", settings=settings),
        chosen := load_config(file=tmp_path / "own.toml", settings=settings),
    ):
        assert config.consensus.rule == rule
        assert config.consensus.risk == (0.05 if rule == "forecast" else 0.12)
    assert not chosen.consensus.uncatchable  # what no rule owns stays
