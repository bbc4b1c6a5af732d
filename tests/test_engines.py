"""One contract for every engine: what `solver.engine.base.Engine` promises, asked of each with the embedded model."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from solver.chat import Tokenizer, load_tokenizer
from solver.chat.tokenizer import ByteTokenizer
from solver.config import EngineConfig, EngineName, ScriptedConfig
from solver.engine import Engine, build_engine
from solver.errors import EngineError, PromptTooLongError
from solver.model import find_model
from solver.types import Completion, EngineInfo, SamplingParams
from tests.conftest import write_script

T = TypeVar("T")
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries under the engines
MAX_LEN = 512


@dataclass
class Started:
    name: str
    engine: Engine
    info: EngineInfo
    tokenizer: Tokenizer
    prompt: list[int]
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    def sample(self, **params: Any) -> list[Completion]:
        return list(self.run(self.collect(**params)))

    async def collect(self, prompt: list[int] | None = None, **params: Any) -> list[Completion]:
        defaults = {"max_tokens": 24, "temperature": 0.0}
        stream = self.engine.generate(prompt or self.prompt, SamplingParams(**{**defaults, **params}))
        async with aclosing(stream) as completions:
            return [completion async for completion in completions]


def tokens(completions: list[Completion]) -> list[int]:
    return [token for completion in completions for token in completion.token_ids]


# vLLM first: it forks, and a process in which torch has computed must not be forked.
@pytest.fixture(
    scope="module",
    params=[
        "scripted",
        pytest.param("vllm", marks=pytest.mark.real),
        pytest.param("transformers", marks=pytest.mark.real),
    ],
)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    name: EngineName = request.param
    with asyncio.Runner() as runner:
        scripted, model = ScriptedConfig(), None
        if name == "scripted":
            texts = [f"text number {n} of the é½🙂 script, " * 20 for n in range(50)]
            path = write_script(tmp_path_factory.mktemp("script") / "script.jsonl", [{"texts": texts}])
            scripted = ScriptedConfig(script=path)
        else:
            model = runner.run(find_model(None))
        config = EngineConfig(
            name=name, max_model_len=MAX_LEN, max_num_seqs=8, enforce_eager=True, cpu_kv_cache_gib=1, scripted=scripted
        )
        engine = build_engine(config, model)
        info = runner.run(engine.start())
        tokenizer = ByteTokenizer() if model is None else load_tokenizer(model)
        prompt = tokenizer.encode("Here is a long story about a number and its seven sons.")
        yield Started(name, engine, info, tokenizer, prompt, runner.run)
        runner.run(engine.close())
        runner.run(engine.close())  # twice is allowed


def test_it_says_what_it_is(started: Started) -> None:
    assert started.info.name == started.name
    assert started.info.max_model_len == MAX_LEN
    assert started.info.max_num_seqs == 8


def test_tokens_come_as_they_are_sampled_and_the_last_says_why(started: Started) -> None:
    completions = started.sample(max_tokens=40, ignore_eos=True)
    assert len(completions) > 1
    assert [c.finish_reason for c in completions] == [None] * (len(completions) - 1) + ["length"]


@pytest.mark.parametrize("count", [1, 2, 33])
def test_max_tokens_is_exact(started: Started, count: int) -> None:
    assert len(tokens(started.sample(max_tokens=count, ignore_eos=True))) == count


def test_greedy_sampling_is_repeatable(started: Started) -> None:
    assert tokens(started.sample()) == tokens(started.sample())


def test_a_stop_token_is_the_last_of_the_output(started: Started) -> None:
    whole = tokens(started.sample())
    stop = whole[12]
    completions = started.sample(stop_token_ids=(stop,))
    assert tokens(completions) == whole[: whole.index(stop) + 1]
    assert completions[-1].finish_reason == "stop"


def test_a_stop_string_spread_over_tokens_ends_the_output_at_its_last_token(started: Started) -> None:
    whole = tokens(started.sample())
    text = started.tokenizer.decode(whole)
    stop = text[len(text) // 2 : len(text) // 2 + 9]
    completions = started.sample(stop=(stop,))
    got = tokens(completions)
    assert got == whole[: len(got)]
    assert stop in started.tokenizer.decode(got)
    assert stop not in started.tokenizer.decode(got[:-1])
    assert completions[-1].finish_reason == "stop"


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others(started: Started) -> None:
    first, again, other = (tokens(started.sample(temperature=1.0, seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_many_at_once_all_finish(started: Started) -> None:
    async def many() -> list[list[Completion]]:
        return await asyncio.gather(*(started.collect(temperature=1.0, seed=seed, max_tokens=8) for seed in range(40)))

    results = started.run(many())
    assert len(results) == 40
    assert all(1 <= len(tokens(result)) <= 8 for result in results)


def test_closing_the_iterator_frees_its_slot(started: Started) -> None:
    async def first_token(seed: int) -> None:
        stream = started.engine.generate(started.prompt, SamplingParams(max_tokens=400, seed=seed, ignore_eos=True))
        async with aclosing(stream) as completions:
            async for _ in completions:
                return

    async def check() -> list[Completion]:
        await asyncio.gather(*(first_token(seed) for seed in range(8)))
        async with asyncio.timeout(60):
            return await started.collect(max_tokens=4, ignore_eos=True)

    assert len(tokens(started.run(check()))) == 4
    assert unfinished(started) == 0


def unfinished(started: Started) -> int:
    """Requests that the engine itself still holds."""
    engine: Any = started.engine
    if started.name == "vllm":
        return int(engine._engine.output_processor.get_num_unfinished_requests())
    return int(engine.running)


def test_cancelling_who_waits_aborts_too(started: Started) -> None:
    async def check() -> list[Completion]:
        waiting = [asyncio.create_task(started.collect(max_tokens=400, ignore_eos=True)) for _ in range(12)]
        await asyncio.sleep(0.5)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(60):
            return await started.collect(max_tokens=4, ignore_eos=True)

    assert len(tokens(started.run(check()))) == 4
    assert unfinished(started) == 0


def test_log_probabilities_come_on_demand(started: Started) -> None:
    if started.name == "scripted":
        pytest.skip("a script has none")
    completions = started.sample(logprobs=1, max_tokens=8, ignore_eos=True)
    logprobs = [value for completion in completions for value in completion.logprobs or ()]
    assert len(logprobs) == 8
    assert all(value <= 0 for value in logprobs)


def test_a_prompt_longer_than_the_context_is_one_clear_error(started: Started) -> None:
    with pytest.raises(PromptTooLongError, match=f"the prompt has 600 tokens, the context {MAX_LEN}"):
        started.run(started.collect(prompt=(started.prompt * 600)[:600]))


@pytest.mark.real
@pytest.mark.parametrize("name", ["vllm", "transformers"])
def test_a_model_that_cannot_be_loaded_is_one_readable_line(name: EngineName, tmp_path: Path) -> None:
    async def check() -> None:
        model = await find_model(None)
        for path in model.iterdir():
            (tmp_path / path.name).symlink_to(path)
        config = json.loads((model / "config.json").read_text()) | {
            "architectures": ["NoSuchModel"],
            "model_type": "none",
        }
        (tmp_path / "config.json").unlink()
        (tmp_path / "config.json").write_text(json.dumps(config))
        engine = build_engine(EngineConfig(name=name, max_model_len=MAX_LEN), tmp_path)
        with pytest.raises(EngineError) as error:
            await engine.start()
        await engine.close()
        assert name.lower() in str(error.value).lower()
        assert "\n" not in str(error.value)

    asyncio.run(check())
