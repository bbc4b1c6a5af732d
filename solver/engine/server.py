"""One server of the OpenAI completions API. HTTP stands here alone."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, cast

import aiohttp

from solver.config import EngineConfig
from solver.engine.entropy import entropy
from solver.errors import EngineError, PromptTooLongError
from solver.types import Completion, FinishReason, SamplingParams

_HEALTH_TIMEOUT = 5.0  # seconds
_FAILURES_ALLOWED = 2  # health checks in a row, before the streams of a silent server are given up
_FINISH: dict[str | None, FinishReason | None] = {None: None, "length": "length", "stop": "stop"}
_TOO_LONG = re.compile(r"context length|context size|max_model_len|longer than|too long", re.IGNORECASE)
_Lost = (aiohttp.ClientError, TimeoutError, OSError)


class ServerLostError(Exception):
    """The server did not answer, or not to the end; another try may succeed."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Server:
    def __init__(self, url: str, session: aiohttp.ClientSession, config: EngineConfig) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._session, self._config = session, config
        self._streams: set[aiohttp.ClientResponse] = set()
        self._failures = 0
        self.healthy = False
        self.running = 0
        """Turns in progress there, of this process."""
        self.model = config.served_model or ""
        self.kind = ""
        """Who wrote the server, as it calls itself: vllm, sglang, llamacpp, ..."""
        self.version = "unknown"
        self.max_model_len: int | None = None

    async def check(self) -> None:
        """Ask for its health and, the first time, for its model; give up its streams where it has fallen silent.

        Raises EngineError where it does not serve the model.
        """
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT), self._session.get(f"{self.url}/health") as response:
                if response.status not in (200, 404):  # 404: a server without this page, but a server
                    raise ServerLostError(f"status {response.status}")
            if not self.kind:
                await self._read_model()
            self.healthy, self._failures = True, 0
        except (*_Lost, ServerLostError):
            self.healthy = False
            self._failures += 1
            if self._failures >= _FAILURES_ALLOWED:
                for response in list(self._streams):
                    response.close()

    async def stream(self, tokens: Sequence[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        """What the server samples after `tokens`. Raises ServerLostError, EngineError."""
        response: aiohttp.ClientResponse | None = None
        self.running += 1
        try:
            async with self._session.post(f"{self.url}/v1/completions", json=self._body(tokens, params)) as response:
                if response.status != 200:
                    raise await _refusal(self.url, response)
                self._streams.add(response)
                last: Completion | None = None
                async for event in _events(response):
                    if "error" in event:
                        raise ServerLostError(f"{self.url}: {_message(event)}")
                    if last is None and event.get("choices"):
                        completion = self._completion(event["choices"][0], params)
                        if completion.finish_reason is None:
                            yield completion
                        else:
                            last = completion  # how much of the prompt was cached comes after it
                    if last is not None and (cached := _cached_tokens(event)) is not None:
                        last = Completion(last.token_ids, last.logprobs, last.finish_reason, last.entropies, cached)
                if last is None:
                    raise ServerLostError(f"{self.url} ended its answer in the middle")
                yield last
        except _Lost as error:
            self.healthy = False
            raise ServerLostError(f"{self.url}: {_reason(error)}") from error
        finally:
            self.running -= 1
            if response is not None:
                self._streams.discard(response)

    async def tokenize(self, text: str) -> list[int] | None:
        """The server's tokens of a text, or None where it does not tell."""
        body = {"model": self.model, "prompt": text, "content": text, "add_special_tokens": False}
        with contextlib.suppress(*_Lost, ValueError, KeyError, TypeError):
            async with asyncio.timeout(_HEALTH_TIMEOUT), self._session.post(f"{self.url}/tokenize", json=body) as reply:
                if reply.status == 200:
                    return [int(token) for token in (await reply.json())["tokens"]]
        return None

    async def _read_model(self) -> None:
        async with asyncio.timeout(_HEALTH_TIMEOUT), self._session.get(f"{self.url}/v1/models") as response:
            if response.status in (401, 403):
                raise EngineError(f"{self.url} wants a key: put it into the variable {self._config.api_key_variable}")
            if response.status != 200:
                raise ServerLostError(f"status {response.status}")
            try:
                models = {str(model["id"]): model for model in (await response.json())["data"]}
            except (ValueError, KeyError, TypeError, aiohttp.ContentTypeError):
                raise EngineError(f"{self.url} is no server of the OpenAI completions API") from None
        name = self._config.served_model or next(iter(models), "")
        if name not in models:
            raise EngineError(f"{self.url} does not serve '{name}': set engine.served_model to {' or '.join(models)}")
        self.model, length = name, models[name].get("max_model_len")
        self.max_model_len = length if isinstance(length, int) else None
        self.kind = str(models[name].get("owned_by") or "unknown")
        with contextlib.suppress(*_Lost, ValueError, KeyError, TypeError):
            async with asyncio.timeout(_HEALTH_TIMEOUT), self._session.get(f"{self.url}/version") as response:
                self.version = f"{self.kind} {(await response.json())['version']}"

    def _body(self, tokens: Sequence[int], params: SamplingParams) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": list(tokens),
            "max_tokens": params.max_tokens,
            # All of them said: servers fill gaps from the model's generation_config.json.
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k or -1,
            "min_p": params.min_p,
            "repetition_penalty": params.repetition_penalty,
            "seed": params.seed,
            "stop": list(params.stop),
            "stop_token_ids": list(params.stop_token_ids),
            "include_stop_str_in_output": True,
            "no_stop_trim": True,  # SGLang's word for it
            "skip_special_tokens": False,
            "ignore_eos": params.ignore_eos,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
        }
        if params.logprobs is not None:
            body |= {"logprobs": params.logprobs, "return_tokens_as_token_ids": True}
        elif self.kind == "llamacpp":
            body["logprobs"] = 1  # its way to tell token ids
        elif self.kind.startswith("tensorrt"):
            body["detokenize"] = False
        if self._config.stream_interval > 1:
            body["stream_interval"] = self._config.stream_interval
        return body

    def _completion(self, choice: dict[str, Any], params: SamplingParams) -> Completion:
        details = choice.get("logprobs") or {}
        listed = details.get("content") or []  # llama.cpp
        tokens = choice.get("token_ids")
        if tokens is None:
            tokens = [entry["id"] for entry in listed if "id" in entry]
        if not tokens and choice.get("text"):
            raise EngineError(
                f"{self.url} sends no token ids: it must know return_token_ids (vLLM 0.10.2 and newer, SGLang)"
            )
        finish = _FINISH.get(choice.get("finish_reason"), "stop")
        if choice.get("finish_reason") in ("abort", "error"):
            raise ServerLostError(f"{self.url} aborted the turn")
        if params.logprobs is None:
            return Completion(tuple(tokens), None, finish)
        chosen = details.get("token_logprobs") or [entry["logprob"] for entry in listed]
        tops = details.get("top_logprobs") or [{str(t["id"]): t["logprob"] for t in e["top_logprobs"]} for e in listed]
        entropies = tuple(entropy(top.values()) for top in tops)
        return Completion(tuple(tokens), tuple(map(float, chosen)), finish, entropies)


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, Any], None]:
    """The data of server-sent events, up to [DONE]. A line may be long: the first one repeats the prompt."""
    rest = b""
    async for data in response.content.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        for event in _parsed(lines):
            if event is None:
                return
            yield event


def _parsed(lines: Sequence[bytes]) -> Iterator[dict[str, Any] | None]:
    for line in lines:
        if line.startswith(b"data:"):
            payload = line[5:].strip()
            yield None if payload == b"[DONE]" else cast(dict[str, Any], json.loads(payload))


async def _refusal(url: str, response: aiohttp.ClientResponse) -> Exception:
    body = await response.text(errors="replace")
    try:
        message = _message(json.loads(body))
    except ValueError:
        message = body.strip().splitlines()[0][:300] if body.strip() else f"status {response.status}"
    if response.status in (408, 429) or response.status >= 500:
        wait = response.headers.get("Retry-After", "")
        return ServerLostError(f"{url}: {message}", retry_after=float(wait) if wait.isdigit() else 0.0)
    if response.status in (400, 413, 422) and _TOO_LONG.search(message):
        return PromptTooLongError(message)
    return EngineError(f"{url} refused the request: {message}")


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    text = error.get("message", error) if isinstance(error, dict) else error
    return (str(text).strip().splitlines() or [""])[0][:300]


def _cached_tokens(event: dict[str, Any]) -> int | None:
    details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
    return cast(int | None, details.get("cached_tokens"))


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
