"""What the measurements of engines share: an engine of a name with the embedded model, and a solver over it."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.vllm_server import VllmServer
from solver.attempt import Tools, turn_seed
from solver.chat import Tokenizer, build_chat, load_tokenizer
from solver.chat.base import CodeCall
from solver.chat.tokenizer import ByteTokenizer
from solver.competition import Competition
from solver.config import SolverConfig, load_config
from solver.engine import build_engine
from solver.journal import Journal
from solver.model import find_model
from solver.sandbox import SandboxPool
from solver.solve import Solver
from solver.status import RunStatus
from solver.types import NEVER, Completion, Effort, Mode, Problem, ProblemBudget, SamplingParams

PROBLEM = Problem(
    "tank",
    "A tank holds 840 litres. One pipe fills it in 6 hours and another empties it in 10 hours. "
    "Starting from an empty tank with both pipes open, how many litres are in it after 9 hours?",
    504,
)
# Admits no answer: boxes are looked for, as always, and none ends an attempt before its last token.
NO_ANSWER = Competition("none", 1, 0, None, 0, None, None, "accuracy")
CODE, OUTPUT = "import math\nprint(sum(math.comb(20, k) ** 2 for k in range(21)))", "137846528820"


@dataclass(frozen=True)
class Running:
    engine: Any
    server: VllmServer | None
    tools: Tools

    async def is_idle(self) -> bool:
        """Whether the engine itself holds no request; a server is asked on its page of metrics."""
        if self.server is not None:
            return await asyncio.to_thread(self.server.num_requests) == 0
        return bool(await self.engine.is_idle())

    def prompt(self) -> list[int]:
        return self.tools.chat.prompt(PROBLEM, "cot")

    def params(self, index: int, num_tokens: int, run: int = 0, turn: int = 0) -> SamplingParams:
        """Of attempt `index`, as the solver would sample it, but with no end before `num_tokens`."""
        sampling = self.tools.config.sampling.model_dump()
        seed = turn_seed(run, PROBLEM.id, index, turn)
        return unstopped(SamplingParams(max_tokens=num_tokens, **sampling, seed=seed))


@asynccontextmanager
async def running(name: str, attempts: int, *settings: str) -> AsyncIterator[Running]:
    """The engine `name` with the embedded model and room for `attempts` at once."""
    server = None
    folder = None if name == "scripted" else await find_model(None)
    all_settings = [f"engine.name='{name}'", f"engine.max_num_seqs={attempts}", *settings]
    with tempfile.TemporaryDirectory() as scratch:
        if folder is not None and name == "openai":
            limits = ("--max-model-len", "2048", "--max-num-seqs", str(attempts))
            threads = len(os.sched_getaffinity(0))
            server = VllmServer(folder, Path(scratch) / "server.log", *limits, threads=threads)
            all_settings.append(f"engine.base_urls='{server.url}'")
        preset = "scripted" if name == "scripted" else None
        config = load_config(preset, settings=[f"attempts.num_attempts={attempts}", *all_settings])
        sandbox = SandboxPool(config.sandbox)
        await sandbox.start()  # before the engine: it forks
        engine = build_engine(config.engine, folder)
        try:
            if server is not None:
                await asyncio.to_thread(server.wait_ready)
            info = await engine.start()
            tokenizer: Tokenizer = ByteTokenizer() if folder is None else load_tokenizer(folder)
            chat = build_chat(config.chat, tokenizer, folder)
            start = time.monotonic()
            tools = Tools(config, NO_ANSWER, engine, tokenizer, chat, sandbox, info.max_model_len, start)
            yield Running(engine, server, tools)
        finally:
            await engine.close()
            await sandbox.close()
            if server is not None:
                server.kill()


class FixedLength:
    """An engine told to ignore every stop: turns of given lengths. `calls_after`: of the turns that follow the bare
    prompt, one an attempt in the order in which they begin; such a turn ends as one with a code call does, and what is
    left of `num_tokens` is sampled in the next, behind `num_result` tokens of output."""

    def __init__(
        self, engine: Any, prompt_length: int, num_tokens: int, calls_after: Sequence[int], num_result: int
    ) -> None:
        self._engine, self._prompt_length, self._num_tokens = engine, prompt_length, num_tokens
        self._calls_after, self._num_result = iter(calls_after), num_result

    def generate(self, prompt: list[int], params: SamplingParams) -> AsyncGenerator[Completion, None]:
        stream: AsyncGenerator[Completion, None]
        if len(prompt) == self._prompt_length and (length := next(self._calls_after, 0)):
            stream = self._engine.generate(prompt, unstopped(replace(params, max_tokens=length)))
            return _stopped(stream)
        written = max(0, len(prompt) - self._prompt_length - self._num_result)
        stream = self._engine.generate(prompt, unstopped(replace(params, max_tokens=self._num_tokens - written)))
        return stream


async def _stopped(stream: AsyncGenerator[Completion, None]) -> AsyncGenerator[Completion, None]:
    async with aclosing(stream) as completions:
        async for completion in completions:
            yield completion if completion.finish_reason is None else replace(completion, finish_reason="stop")


class OneCodeCall:
    """A chat format in which every turn that ends in a stop ends in a call of Python."""

    def __init__(self, chat: Any) -> None:
        self._chat = chat

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chat, name)

    def prompt(self, problem: Problem, mode: Mode, effort: Effort | None = None) -> list[int]:
        return list(self._chat.prompt(problem, "cot", effort))

    def code_calls(self, new_tokens: Sequence[int], effort: Effort | None = None) -> list[CodeCall]:
        return [CodeCall(CODE)]

    def code_results(
        self, calls: Sequence[CodeCall], outputs: Sequence[str], calls_left: int, effort: Effort | None = None
    ) -> list[int]:
        assert outputs == [OUTPUT], outputs
        return list(self._chat.code_results(calls, outputs, calls_left, effort))


def code_result(tools: Tools) -> list[int]:
    """The tokens that follow the call of CODE."""
    return tools.chat.code_results([CodeCall(CODE)], [OUTPUT], tools.chat.max_code_calls - 1)


def unstopped(params: SamplingParams) -> SamplingParams:
    return replace(params, stop=(), stop_token_ids=(), ignore_eos=True)


def fixed_length(tools: Tools, num_tokens: int, attempts: int, calls_after: Sequence[int] = ()) -> Tools:
    """Tools with which every attempt samples `num_tokens`, and calls Python once where `calls_after` says."""
    tree = tools.config.model_dump()
    tree["attempts"] |= {"num_attempts": attempts, "tir_share": float(bool(calls_after)), "force_seconds": 0.0}
    # In place of the preset's, whose rule may be another.
    tree["consensus"] = {"rule": "quorum", "quorum": attempts, "uncatchable": False}
    result = code_result(tools) if calls_after else []
    tree["attempts"]["max_tokens"] = num_tokens + len(result)  # what the call prints counts too
    prompt = tools.chat.prompt(PROBLEM, "cot")
    engine: Any = FixedLength(tools.engine, len(prompt), num_tokens, calls_after, len(result))
    chat: Any = OneCodeCall(tools.chat) if calls_after else tools.chat
    return replace(tools, config=SolverConfig.model_validate(tree), engine=engine, chat=chat)


async def sample(setting: Running, attempts: int, num_tokens: int) -> float:
    """Tokens a second of so many turns at once, through our engine and without the solver."""

    async def one(index: int) -> None:
        async with aclosing(setting.engine.generate(setting.prompt(), setting.params(index, num_tokens))) as turn:
            async for _ in turn:
                pass

    began = time.perf_counter()
    await asyncio.gather(*(one(index) for index in range(attempts)))
    return attempts * num_tokens / (time.perf_counter() - began)


async def solve_once(tools: Tools, run: int, attempts: int) -> tuple[int, float]:
    """Sampled tokens and seconds of one problem solved, journal and live status included."""
    with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch) / "run.jsonl") as journal:
        own = replace(tools, config=tools.config.model_copy(update={"seed": run}))
        solver = Solver(own, journal, RunStatus())
        began = time.perf_counter()
        await solver.solve(PROBLEM, ProblemBudget(NEVER, attempts))
        seconds = time.perf_counter() - began
    assert len(solver.records) == attempts
    return sum(attempt.num_tokens for attempt in solver.records), seconds
