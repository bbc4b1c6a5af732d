"""The engine `openai` against servers that misbehave. `tests/test_engines.py` has it against vLLM's own."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from solver.config import EngineConfig, load_config
from solver.engine import build_engine
from solver.engine.openai import OpenAIEngine
from solver.errors import EngineError, PromptTooLongError, UsageError
from solver.types import Completion, SamplingParams

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROMPT = list(range(40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder without weights."""
    return write_byte_tokenizer(tmp_path_factory.mktemp("model"))


def write_byte_tokenizer(path: Path) -> Path:
    """A model folder's tokenizer.json and config.json; token n is byte n of a text."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    tokenizer = Tokenizer(BPE(vocab=symbols, merges=[]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "config.json").write_text("{}")
    return path


class FakeServer:
    """Says the tokens 100, 101, ... of a transcript, so that what follows any prefix is known."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.die_after: int | None = None
        """Tokens after which the connection is cut, once."""
        self.refuse: list[web.Response] = []
        """What the next requests get in place of tokens."""
        self.model: dict[str, Any] = {"id": "m", "owned_by": "vllm", "max_model_len": 300}
        self.healthy = True
        self.with_ids = True
        self.text: list[int] = list(range(100, 200))

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        if self.refuse:
            return self.refuse.pop(0)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        said = len(body["prompt"]) - len(PROMPT)
        for number in range(body["max_tokens"]):
            if self.die_after is not None and number >= self.die_after:
                self.die_after = None
                if request.transport is not None:
                    request.transport.abort()
                return response
            choice: dict[str, Any] = {"text": "x", "finish_reason": None}
            if self.with_ids:
                choice["token_ids"] = [self.text[said + number]]
            if number == body["max_tokens"] - 1:
                choice["finish_reason"] = "length"
            await _send(response, {"choices": [choice]})
            await asyncio.sleep(0)
        await _send(response, {"choices": [], "usage": {"prompt_tokens_details": {"cached_tokens": 7}}})
        await response.write(b"data: [DONE]\n\n")
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        app = web.Application()

        async def health(request: web.Request) -> web.Response:
            return web.Response(status=200 if self.healthy else 503)

        async def models(request: web.Request) -> web.Response:
            return web.json_response({"data": [self.model]})

        app.router.add_get("/health", health)
        app.router.add_get("/v1/models", models)
        app.router.add_post("/v1/completions", self.completions)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(event)}\n\n".encode())


def with_engine(
    folder: Path, servers: Sequence[FakeServer], use: Callable[[OpenAIEngine], Awaitable[Any]], **settings: Any
) -> Any:
    async def main() -> Any:
        async with AsyncExitStack() as stack:
            urls = tuple([await stack.enter_async_context(server.serving()) for server in servers])
            defaults = {"max_model_len": 200, "retry_seconds": 60.0, "start_seconds": 0.2}
            config = EngineConfig(name="openai", base_urls=urls, **{**defaults, **settings})
            engine = build_engine(config, folder)
            assert isinstance(engine, OpenAIEngine)
            try:
                await engine.start()
                return await use(engine)
            finally:
                await engine.close()

    return asyncio.run(main())


async def sample(engine: OpenAIEngine, prompt: Sequence[int] = PROMPT, **params: Any) -> list[Completion]:
    stream = engine.generate(list(prompt), SamplingParams(**{"max_tokens": 10, **params}))
    async with aclosing(stream) as completions:
        return [completion async for completion in completions]


def tokens(completions: Sequence[Completion]) -> list[int]:
    return [token for completion in completions for token in completion.token_ids]


def test_tokens_and_what_was_cached_come_back(folder: Path) -> None:
    completions = with_engine(folder, [server := FakeServer()], lambda engine: sample(engine, seed=3, stop=("zz",)))
    assert tokens(completions) == list(range(100, 110))
    assert completions[-1].finish_reason == "length"
    assert [c.num_cached_tokens for c in completions] == [None] * 9 + [7]
    assert server.requests[0]["prompt"] == PROMPT
    assert {"seed": 3, "stop": ["zz"], "stream": True}.items() <= server.requests[0].items()


@settings(max_examples=25)
@given(cut=st.integers(0, 9), stop_at=st.integers(0, 9))
def test_wherever_the_connection_is_cut_no_token_is_lost_or_doubled(folder: Path, cut: int, stop_at: int) -> None:
    """Nor a stop string missed that stands on both sides of the cut."""
    server = FakeServer()
    server.die_after = cut
    engine_text = "abcdefghij"

    async def use(engine: OpenAIEngine) -> list[Completion]:
        server.text = engine._tokenizer.encode(engine_text * 2)
        return await sample(engine, stop=(engine_text[max(0, stop_at - 2) : stop_at + 1],))

    completions = with_engine(folder, [server], use)
    assert tokens(completions) == server.text[: stop_at + 1]
    assert completions[-1].finish_reason == "stop" if stop_at < 9 else completions[-1].finish_reason
    if cut and cut <= stop_at:
        assert server.requests[-1]["max_tokens"] == 10 - cut


def test_a_turn_goes_on_with_another_server(folder: Path) -> None:
    first, second = FakeServer(), FakeServer()
    first.die_after = 4
    completions = with_engine(folder, [first, second], sample)
    assert tokens(completions) == list(range(100, 110))
    assert len(first.requests) == len(second.requests) == 1
    assert second.requests[0]["prompt"] == [*PROMPT, 100, 101, 102, 103]


def test_the_next_turn_goes_to_the_server_that_has_the_first(folder: Path) -> None:
    servers = [FakeServer(), FakeServer(), FakeServer()]

    async def use(engine: OpenAIEngine) -> None:
        turns = await asyncio.gather(*(sample(engine, [n, *PROMPT[1:]]) for n in range(6)))
        for number, turn in enumerate(turns):
            await sample(engine, [number, *PROMPT[1:], *tokens(turn), 5])

    with_engine(folder, servers, use)
    for server in servers:
        assert len(server.requests) == 4  # spread evenly, and
        firsts = [request["prompt"][0] for request in server.requests]
        assert sorted(firsts[:2]) == sorted(firsts[2:])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(folder: Path, status: int) -> None:
    server = FakeServer()
    server.refuse = [web.Response(status=status, text="busy")]
    assert tokens(with_engine(folder, [server], sample)) == list(range(100, 110))


def test_a_server_that_stays_busy_is_an_error_after_the_retries(folder: Path) -> None:
    server = FakeServer()
    server.refuse = [web.Response(status=503, text="overloaded\nreally") for _ in range(20)]
    with pytest.raises(EngineError, match=r"^no server has gone on for 0.3 s: http://127.*: overloaded$"):
        with_engine(folder, [server], sample, retry_seconds=0.3)


def test_cancelled_retries_end_at_once(folder: Path) -> None:
    async def use(engine: OpenAIEngine) -> None:
        async with asyncio.timeout(0.2):
            await sample(engine)

    server = FakeServer()
    server.refuse = [web.Response(status=503) for _ in range(99)]
    with pytest.raises(TimeoutError):
        with_engine(folder, [server], use, retry_seconds=60)


def test_the_shorter_context_holds(folder: Path) -> None:
    server = FakeServer()
    server.model["max_model_len"] = 30
    with pytest.raises(PromptTooLongError, match="the prompt has 40 tokens, the context 30"):
        with_engine(folder, [server], sample)


def test_a_prompt_that_the_server_finds_too_long_is_not_tried_again(folder: Path) -> None:
    server = FakeServer()
    message = "This model's maximum context length is 30 tokens. However, your prompt contains 40 input tokens"
    server.refuse = [web.json_response({"error": {"message": message}}, status=400)]
    with pytest.raises(PromptTooLongError, match="maximum context length is 30"):
        with_engine(folder, [server], sample)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "expected"), [(400, "refused the request: bad seed"), (404, "refused the request")])
def test_a_refused_request_is_an_error_at_once(folder: Path, status: int, expected: str) -> None:
    server = FakeServer()
    server.refuse = [web.json_response({"error": {"message": "bad seed"}}, status=status)]
    with pytest.raises(EngineError, match=expected):
        with_engine(folder, [server], sample)


def test_a_server_that_sends_text_alone_is_refused(folder: Path) -> None:
    server = FakeServer()
    server.with_ids = False
    with pytest.raises(EngineError, match="sends no token ids"):
        with_engine(folder, [server], sample)


def test_no_server_at_the_address_is_one_line(folder: Path) -> None:
    async def main() -> None:
        engine = build_engine(
            EngineConfig(name="openai", base_urls=("http://127.0.0.1:9/v1",), start_seconds=0.1), folder
        )
        try:
            await engine.start()
        finally:
            await engine.close()

    with pytest.raises(EngineError, match=r"^no server answers at http://127.0.0.1:9: start one, or correct engine"):
        asyncio.run(main())


def test_a_model_that_is_not_served_is_named(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"does not serve 'other': set engine.served_model to m"):
        with_engine(folder, [FakeServer()], sample, served_model="other")


def test_one_server_of_two_is_enough_to_start(folder: Path) -> None:
    down = FakeServer()
    down.healthy = False
    assert tokens(with_engine(folder, [down, FakeServer()], sample)) == list(range(100, 110))
    assert not down.requests


def test_a_server_that_falls_silent_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solver.engine.server_pool._HEALTH_EVERY", 0.05)
    silent, other = FakeServer(), FakeServer()

    async def hang(request: web.Request) -> web.StreamResponse:
        silent.healthy = False
        response = web.StreamResponse()
        await response.prepare(request)
        await _send(response, {"choices": [{"text": "x", "token_ids": [100], "finish_reason": None}]})
        await asyncio.sleep(30)
        return response

    silent.completions = hang  # type: ignore[method-assign]
    assert tokens(with_engine(folder, [silent, other], sample, retry_seconds=60)) == list(range(100, 110))
    assert other.requests[0]["prompt"] == [*PROMPT, 100]


def test_closing_a_turn_closes_its_connection(folder: Path) -> None:
    server, closed = FakeServer(), asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await _send(response, {"choices": [{"text": "x", "token_ids": [100], "finish_reason": None}]})
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    async def use(engine: OpenAIEngine) -> None:
        async with aclosing(engine.generate(PROMPT, SamplingParams(max_tokens=100))) as turn:
            await anext(turn)
        async with asyncio.timeout(5):
            await closed.wait()
        assert await engine.is_idle()

    server.completions = endless  # type: ignore[method-assign]
    with_engine(folder, [server], use)


def test_an_address_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="write it like http://localhost:8000/v1"):
        load_config(settings=["engine.base_urls=localhost:8000"])
    assert load_config(settings=["engine.base_urls=http://a:1/v1"]).engine.base_urls == ("http://a:1/v1",)
