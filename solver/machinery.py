"""What a run starts before it can solve, and ends afterwards: the sandbox, the model, the engine."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from solver.attempt import Tools
from solver.chat import build_chat, choose_family, find_family, load_tokenizer
from solver.chat.settle import notes, scripted_chat, settle
from solver.chat.template import template_notes
from solver.chat.tokenizer import ByteTokenizer
from solver.competition import find_competition
from solver.config import SolverConfig
from solver.engine import Engine, build_engine, engine_name
from solver.model import find_model
from solver.sandbox import SandboxPool
from solver.types import EngineInfo

_CLOSE_SECONDS = 6.0


class Machinery:
    def __init__(self, config: SolverConfig, process_start: float) -> None:
        self._config, self._process_start = config, process_start
        self._engine: Engine | None = None
        self.sandbox = SandboxPool(config.sandbox)
        self.info: EngineInfo | None = None
        """None until the engine is up."""

    async def start(self, enter: Callable[[str], None], note: Callable[[str], None]) -> Tools:
        """Start everything; `enter` is told each stage, `note` what was found on the way.

        The tools' configuration is the one given, with what the model's family settles.

        Raises:
            SolverError: a part does not start.
        """
        config, name = self._config, engine_name(self._config.engine)
        enter("starting the sandbox")  # before the engine: its threads and its GPU must not be forked
        await self.sandbox.start()
        folder = None
        if name != "scripted":
            built = "" if config.engine.model is not None else " (the embedded one is built once, in about a minute)"
            enter(f"finding the model{built}")
            folder = await find_model(config.engine.model, config.engine.embedded)
        tokenizer = load_tokenizer(folder) if folder is not None else ByteTokenizer()
        config = self._settle(folder, note)
        chat = build_chat(config.chat, tokenizer)
        if folder is not None and config.engine.model is not None:
            for line in template_notes(folder, chat, config.chat):
                note(line)
        enter(f"starting {name}" + (f" at {', '.join(config.engine.base_urls)}" if name == "openai" else ""))
        self._engine = build_engine(config.engine, folder)
        self.info = await self._engine.start()
        for line in self.info.notes:
            note(line)
        return Tools(
            config=config,
            competition=find_competition(config.competition),
            engine=self._engine,
            tokenizer=tokenizer,
            chat=chat,
            sandbox=self.sandbox,
            max_model_len=self.info.max_model_len,
            process_start=self._process_start,
            turnstile=getattr(self._engine, "turnstile", None) or contextlib.nullcontext(),
        )

    def _settle(self, folder: Path | None, note: Callable[[str], None]) -> SolverConfig:
        config = self._config
        if folder is None:
            return scripted_chat(config)
        found = choose_family(config.chat.family, folder)
        family = find_family(found.family or "")
        for line in (f"model family {family.name}: {found.reason}", *notes(config, family)):
            note(line)
        return settle(config, family)

    async def close(self) -> None:
        """End whatever was started, in bounded time."""
        if self._engine is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._engine.close()
        await self.sandbox.close()
