"""One contract for every engine: what `solver.engine.base.Engine` promises, asked of each with the embedded model.

One engine of each kind is started and shared by all its tests, and turns are as short as their question allows: on two
cores a real engine samples about a hundred tokens a second.
"""

import asyncio
import functools
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.vllm_server import VllmServer
from solver.chat import Tokenizer, load_tokenizer
from solver.chat.tokenizer import ByteTokenizer
from solver.config import EngineConfig, EngineName, ScriptedConfig
from solver.engine import Engine, build_engine
from solver.errors import EngineError, PromptTooLongError
from solver.model import find_model
from solver.types import Completion, EngineInfo, SamplingParams
from tests.conftest import write_script

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries under the engines
MAX_LEN = 512
SLOTS = 8
# A model goes on with what it has seen over and over, so these come back: characters and markers of several tokens.
REPEATED = "é½🙂 print(1)\n</tool_call>\n"
REAL: tuple[EngineName, ...] = ("vllm", "transformers", "openai")


@dataclass
class Started:
    name: EngineName
    engine: Engine
    info: EngineInfo
    tokenizer: Tokenizer
    prompt: list[int]
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    server: VllmServer | None = None

    def sample(self, **params: Any) -> list[Completion]:
        return list(self.run(self.collect(**params)))

    async def collect(self, prompt: list[int] | None = None, **params: Any) -> list[Completion]:
        defaults = {"max_tokens": 24, "temperature": 0.0}
        stream = self.engine.generate(prompt or self.prompt, SamplingParams(**{**defaults, **params}))
        async with aclosing(stream) as completions:
            return [completion async for completion in completions]

    @functools.cached_property
    def whole(self) -> list[int]:
        """What follows the prompt, greedily."""
        return tokens(self.sample(max_tokens=40, ignore_eos=True))

    async def is_idle(self) -> bool:
        """Whether the engine itself, not only our side of it, holds no request any more."""
        if self.server is not None:
            return await asyncio.to_thread(self.server.num_requests) == 0
        engine: Any = self.engine
        return bool(await engine.is_idle())

    async def wait_idle(self) -> None:
        async with asyncio.timeout(300):
            while not await self.is_idle():  # noqa: ASYNC110  it is in another process
                await asyncio.sleep(0.02)


def tokens(completions: list[Completion]) -> list[int]:
    return [token for completion in completions for token in completion.token_ids]


# vLLM before transformers: it forks, and a process in which torch has computed must not be forked.
@pytest.fixture(scope="module", params=["scripted", *(pytest.param(name, marks=pytest.mark.real) for name in REAL)])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    name: EngineName = request.param
    folder = tmp_path_factory.mktemp(name)
    model = None if name == "scripted" else asyncio.run(find_model(None, "base"))
    settings: dict[str, Any] = {}
    server = None
    if name == "vllm":
        settings["extra"] = {"max_num_batched_tokens": MAX_LEN}  # of a step: less than all slots' prompts
    if model is None:
        texts = [f"text {n} {REPEATED}" * 20 for n in range(50)]
        settings["scripted"] = ScriptedConfig(script=write_script(folder / "script.jsonl", [{"texts": texts}]))
    elif name == "openai":
        limits = ("--max-model-len", str(MAX_LEN), "--max-num-seqs", str(SLOTS))
        server = VllmServer(model, folder / "server.log", *limits)
        server.wait_ready()
        settings |= {"base_urls": (server.url,), "retry_seconds": 2.0}
    config = EngineConfig(
        name=name,
        max_model_len=MAX_LEN,
        max_num_seqs=SLOTS,
        block_size=32,
        enforce_eager=True,
        cpu_kv_cache_gib=1,
        threads=1,  # two that wait for each other are a hundred times slower where something else wants a core
        **settings,
    )
    try:
        with asyncio.Runner() as runner:
            engine = build_engine(config, model)
            info = runner.run(engine.start())
            tokenizer = ByteTokenizer() if model is None else load_tokenizer(model)
            prompt = tokenizer.encode(REPEATED * 12)
            yield Started(name, engine, info, tokenizer, prompt, runner.run, server)
            runner.run(engine.close())
            runner.run(engine.close())  # twice is allowed
    finally:
        if server is not None:
            server.kill()


def test_it_says_what_it_is(started: Started) -> None:
    assert started.info.name == started.name
    assert started.info.max_model_len == MAX_LEN
    assert started.info.max_num_seqs == SLOTS


def test_tokens_come_as_they_are_sampled_and_the_last_says_why(started: Started) -> None:
    completions = started.sample(max_tokens=33, ignore_eos=True)
    assert len(completions) > 1
    assert [c.finish_reason for c in completions] == [None] * (len(completions) - 1) + ["length"]
    assert tokens(completions) == started.whole[:33]  # greedy sampling is repeatable, max_tokens exact


def test_one_token_is_one_token(started: Started) -> None:
    assert tokens(started.sample(max_tokens=1)) == started.whole[:1]


def test_a_stop_token_is_the_last_of_the_output(started: Started) -> None:
    stop = started.whole[5]
    completions = started.sample(stop_token_ids=(stop,))
    assert tokens(completions) == started.whole[: started.whole.index(stop) + 1]
    assert completions[-1].finish_reason == "stop"


@pytest.mark.parametrize("stop", ["🙂", "</tool_call>", "½🙂 pri", "call>\n"])
def test_a_stop_string_ends_the_output_with_the_token_that_completes_it(started: Started, stop: str) -> None:
    """A character made of several tokens, a marker spread over tokens, strings that begin and end inside tokens."""
    end = next(n for n in range(41) if stop in started.tokenizer.decode(started.whole[:n]))
    assert len(started.tokenizer.encode(stop)) > 1
    completions = started.sample(stop=("never said", stop), max_tokens=40, ignore_eos=True)
    assert tokens(completions) == started.whole[:end]
    assert completions[-1].finish_reason == "stop"


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others(started: Started) -> None:
    async def three() -> list[list[int]]:
        sampling: dict[str, Any] = {"temperature": 1.5, "max_tokens": 10, "ignore_eos": True}
        return [tokens(await started.collect(seed=seed, **sampling)) for seed in (5, 5, 6)]

    first, again, other = started.run(three())
    assert first == again
    assert first != other


def test_turns_of_other_lengths_beside_it_change_nothing_of_a_turn(started: Started) -> None:
    """They join and leave at different steps; each says what it says alone."""
    turns = [(started.prompt[30:], 3), (started.prompt[7:], 9), (started.prompt, 6)]

    async def together() -> list[list[Completion]]:
        return await asyncio.gather(*(started.collect(prompt=prompt, max_tokens=n) for prompt, n in turns))

    alone = [tokens(started.run(started.collect(prompt=prompt, max_tokens=n))) for prompt, n in turns]
    assert [tokens(completions) for completions in started.run(together())] == alone
    assert alone[2] == started.whole[:6]


def test_sixty_four_at_once_all_finish(started: Started) -> None:
    async def many() -> list[list[Completion]]:
        turns = (started.collect(temperature=1.0, seed=seed, max_tokens=4, ignore_eos=True) for seed in range(64))
        return await asyncio.gather(*turns)

    assert [len(tokens(result)) for result in started.run(many())] == [4] * 64


def test_seeded_turns_whose_prompts_no_step_can_hold_together_all_finish(started: Started) -> None:
    async def long_ones() -> list[list[Completion]]:
        length = MAX_LEN * 3 // 5
        prompts = [([number + 40] + started.prompt * MAX_LEN)[:length] for number in range(SLOTS)]
        turns = (started.collect(prompt=it, temperature=1.0, seed=1, max_tokens=3, ignore_eos=True) for it in prompts)
        return await asyncio.gather(*turns)

    assert [len(tokens(result)) for result in started.run(long_ones())] == [3] * SLOTS


def test_closing_a_turn_frees_its_slot_within_a_step(started: Started) -> None:
    """All slots are taken; a turn that waits gets the one that is closed before the others are three tokens further:
    the step under way, one that the engine may have prepared, and the one that computes the new prompt. The best of
    three tries counts: where something else has the core, we hear of it later than it happens."""
    counts = [0] * SLOTS

    async def long_turn(number: int, taken: asyncio.Barrier, leave: asyncio.Event) -> None:
        params = SamplingParams(max_tokens=400, seed=number, ignore_eos=True)
        async with aclosing(started.engine.generate(started.prompt, params)) as completions:
            async for _ in completions:
                counts[number] += 1
                if counts[number] == 2:
                    await taken.wait()
                if number == 0 and leave.is_set():
                    return

    async def check() -> tuple[list[int], list[int]]:
        taken, leave = asyncio.Barrier(SLOTS + 1), asyncio.Event()
        running = [asyncio.create_task(long_turn(number, taken, leave)) for number in range(SLOTS)]
        await taken.wait()
        late = asyncio.create_task(started.collect(max_tokens=1, ignore_eos=True))
        leave.set()
        await running[0]
        before = list(counts)
        async with asyncio.timeout(300):
            assert len(tokens(await late)) == 1
        after = list(counts)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await started.wait_idle()
        return before, after

    steps, tries = 99, 0
    while steps > 3 and tries < 3:
        counts[:], tries = [0] * SLOTS, tries + 1
        before, after = started.run(check())
        steps = max(b - a for a, b in zip(before[1:], after[1:], strict=True))
    assert steps <= 3


def test_cancelling_who_waits_aborts_too(started: Started) -> None:
    async def check() -> None:
        waiting = [asyncio.create_task(started.collect(max_tokens=400, ignore_eos=True)) for _ in range(SLOTS + 4)]
        await asyncio.sleep(0.3)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await started.wait_idle()

    started.run(check())


def test_log_probabilities_and_entropies_come_on_demand(started: Started) -> None:
    if started.name == "scripted":
        pytest.skip("a script has none")
    completions = started.sample(logprobs=5, max_tokens=6, ignore_eos=True)
    assert tokens(completions) == started.whole[:6]
    logprobs = [value for completion in completions for value in completion.logprobs or ()]
    entropies = [value for completion in completions for value in completion.entropies or ()]
    assert len(logprobs) == len(entropies) == 6
    assert all(value <= 0 for value in logprobs)
    assert all(0 <= value < 11 for value in entropies)
    assert all(completion.logprobs is None for completion in started.sample(max_tokens=2))


def test_the_second_turn_finds_its_prefix_in_the_cache(started: Started) -> None:
    """What was prompt and output of the first turn is not computed again, but for the last, incomplete block."""
    if started.name == "scripted":
        pytest.skip("a script computes nothing")
    prompt = started.tokenizer.encode("Once there was a number. " * 20)
    output = tokens(started.run(started.collect(prompt=prompt, max_tokens=40, ignore_eos=True)))
    transcript = prompt + output + started.tokenizer.encode("\n```output\n42\n```\n")
    cached = [c.num_cached_tokens for c in started.run(started.collect(prompt=transcript, max_tokens=2))]
    assert sum(count is not None for count in cached) == 1
    assert max(count or 0 for count in cached) >= len(prompt + output) - 32


def test_a_prompt_longer_than_the_context_is_one_clear_error(started: Started) -> None:
    with pytest.raises(PromptTooLongError, match=f"the prompt has 600 tokens, the context {MAX_LEN}"):
        started.run(started.collect(prompt=(started.prompt * 600)[:600]))
    assert len(tokens(started.sample(max_tokens=1))) == 1  # and the engine is well


@pytest.mark.real
def test_a_turn_cut_off_in_the_middle_goes_on_elsewhere_without_losing_a_token(started: Started) -> None:
    """Two ways to one server; the first is cut."""
    if started.server is None:
        pytest.skip("it is not reached over a network")
    port = started.server.port

    async def check() -> list[Completion]:
        model = await find_model(None, "base")
        async with Relay(port) as first, Relay(port) as second:
            config = EngineConfig(name="openai", base_urls=(first.url, second.url), max_model_len=MAX_LEN)
            engine = build_engine(config, model)
            await engine.start()
            completions = []
            async with aclosing(
                engine.generate(started.prompt, SamplingParams(max_tokens=40, temperature=0.0, ignore_eos=True))
            ) as turn:
                async for completion in turn:
                    completions.append(completion)
                    if len(completions) == 10:
                        assert first.num_bytes > second.num_bytes
                        first.cut()
            await engine.close()
            assert second.num_bytes > 1000
            return completions

    completions = started.run(check())
    assert tokens(completions) == started.whole
    assert completions[-1].finish_reason == "length"


@pytest.mark.real
def test_a_server_killed_in_the_middle_of_a_turn_is_one_clear_error(started: Started) -> None:
    if started.server is None:
        pytest.skip("it has no server")
    server = started.server

    async def check() -> None:
        async for _ in started.engine.generate(started.prompt, SamplingParams(max_tokens=300, ignore_eos=True)):
            server.kill()

    with pytest.raises(EngineError, match=r"^no server has gone on for 2 s: .*$"):
        started.run(check())


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_an_engine_that_was_not_started_can_be_closed(name: EngineName, tmp_path: Path) -> None:
    async def check() -> None:
        engine = build_engine(EngineConfig(name=name, max_model_len=MAX_LEN), await find_model(None, "base"))
        await engine.close()
        await engine.close()

    asyncio.run(check())


@pytest.mark.real
@pytest.mark.parametrize("name", ["vllm", "transformers"])
def test_a_model_that_cannot_be_loaded_is_one_readable_line(name: EngineName, tmp_path: Path) -> None:
    async def check() -> None:
        model = await find_model(None, "base")
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


@pytest.mark.real
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"extra": {"max_num_seq": 3}}, "has no argument 'max_num_seq' (engine.extra): did you mean 'max_num_seqs'?"),
        ({"kv_cache_dtype": "fp9"}, "engine.kv_cache_dtype: vLLM 0.32.0 has no 'fp9': did you mean 'fp8'?"),
        ({"quantization": "fp88"}, "engine.quantization: vLLM 0.32.0 has no 'fp88': did you mean 'fp8'?"),
    ],
)
def test_a_setting_that_vllm_does_not_know_is_one_readable_line(settings: dict[str, Any], said: str) -> None:
    async def check() -> None:
        config = EngineConfig(name="vllm", max_model_len=MAX_LEN, cpu_kv_cache_gib=1, **settings)
        engine = build_engine(config, await find_model(None))
        try:
            await engine.start()
        finally:
            await engine.close()

    with pytest.raises(EngineError, match=re.escape(said)):
        asyncio.run(check())


class Relay:
    """A way to a local port that can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self.num_bytes = 0
        """That came back from there."""

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.cut()

    def cut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there_writer]
        await asyncio.gather(
            self._copy(reader, there_writer), self._copy(there_reader, writer, count=True), return_exceptions=True
        )

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False) -> None:
        while data := await reader.read(65536):
            self.num_bytes += len(data) if count else 0
            writer.write(data)
            await writer.drain()
        writer.close()
