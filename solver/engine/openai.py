"""Servers with the OpenAI completions API: `vllm serve`, SGLang, and others that take and give token ids.

A turn goes to the server that holds its prefix, else to the one with the fewest turns. Where a server is lost in the
middle of a turn, the turn goes on elsewhere (or there, once it is back) from its last token: none is lost or doubled.
Closing the iterator closes the connection, which is how these servers abort a request.

Run here against vLLM's server. SGLang has the same fields (`return_token_ids`, `token_ids`). TensorRT-LLM's gives ids
with `detokenize: false`, llama.cpp's with log-probabilities: written from their sources, not run here.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from time import monotonic

import aiohttp

from solver.chat.tokenizer import FolderTokenizer
from solver.config import EngineConfig
from solver.engine.base import check_fits
from solver.engine.server import Server, ServerLostError
from solver.engine.server_pool import ServerPool
from solver.engine.stopping import StopChecker, until_stop
from solver.errors import EngineError
from solver.types import Completion, EngineInfo, SamplingParams

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between tries
_PROBE = "Let $x^2 = 2$; what is the 3rd digit of x?\n```python\nprint(2**0.5)\n```"


class OpenAIEngine:
    def __init__(self, config: EngineConfig, model: Path) -> None:
        self._config, self._folder = config, model
        self._tokenizer = FolderTokenizer(model)
        self._session: aiohttp.ClientSession | None = None
        self._pool = ServerPool()
        self._max_model_len = config.max_model_len
        self.running = 0
        """Turns in progress now."""

    async def start(self) -> EngineInfo:
        began = monotonic()
        if not self._config.base_urls:
            raise EngineError("the engine openai needs a server: --set engine.base_urls=http://localhost:8000/v1")
        key = os.environ.get(self._config.api_key_variable)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._pool = ServerPool([Server(url, self._session, self._config) for url in self._config.base_urls])
        ready = await self._pool.wait_ready(self._config.start_seconds)
        for server in ready:
            await self._check_tokenizer(server)
        lengths = [server.max_model_len for server in ready if server.max_model_len]
        self._max_model_len = min([self._config.max_model_len, *lengths])
        return EngineInfo(
            name="openai",
            version=ready[0].version,
            model=ready[0].model,
            device=f"{len(self._config.base_urls)} server(s)",
            dtype="unknown",
            max_model_len=self._max_model_len,
            max_num_seqs=self._config.max_num_seqs,
            start_seconds=monotonic() - began,
            settings={"servers": ", ".join(f"{s.url} ({'up' if s.healthy else 'down'})" for s in self._pool.servers)},
        )

    async def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        check_fits(prompt, self._max_model_len)
        turn = _Turn(prompt, params, self._tokenizer)
        retry = _Retry(self._config.retry_seconds)
        self.running += 1
        try:
            while not turn.ended:
                try:
                    server = self._pool.choose(turn.tokens)
                    async with aclosing(server.stream(turn.tokens, turn.rest())) as completions:
                        async for completion in completions:
                            retry.progress()
                            taken = turn.take(completion)
                            yield taken
                            if taken.finish_reason is not None:
                                break
                    self._pool.remember(server, turn.tokens)
                except ServerLostError as error:
                    await retry.pause(error)
                    await self._pool.recheck()
        finally:
            self.running -= 1

    async def is_idle(self) -> bool:
        """Whether no turn is in progress here; a server tells of its own requests on its page of metrics."""
        return self.running == 0

    async def close(self) -> None:
        await self._pool.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _check_tokenizer(self, server: Server) -> None:
        """A server with another tokenizer would read and write nonsense without any error."""
        theirs = await server.tokenize(_PROBE)
        if theirs is not None and theirs != self._tokenizer.encode(_PROBE):
            raise EngineError(
                f"{server.url} has another tokenizer than {self._folder}: give --model the folder that it serves"
            )


class _Turn:
    """A turn over all the servers it meets. Stops are looked for here too: a stop string may be spread over two
    servers, and not every server hands out the tokens that complete one."""

    def __init__(self, prompt: list[int], params: SamplingParams, tokenizer: FolderTokenizer) -> None:
        self._params, self._num_prompt = params, len(prompt)
        self._stops = StopChecker(params, tokenizer)
        self.tokens = list(prompt)
        self.ended = False

    def rest(self) -> SamplingParams:
        return replace(self._params, max_tokens=self._params.max_tokens - (len(self.tokens) - self._num_prompt))

    def take(self, completion: Completion) -> Completion:
        completion = until_stop(completion, self._stops)
        self.tokens += completion.token_ids
        self.ended = completion.finish_reason is not None
        return completion


class _Retry:
    """Pauses that grow, until no token has come for too long."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self.progress()

    def progress(self) -> None:
        self._since, self._pause = monotonic(), _FIRST_PAUSE

    async def pause(self, error: ServerLostError) -> None:
        """Raises EngineError where it has been tried for long enough."""
        if monotonic() - self._since + self._pause > self._limit:
            raise EngineError(f"no server has gone on for {self._limit:g} s: {error}") from error
        await asyncio.sleep(max(self._pause, error.retry_after))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
