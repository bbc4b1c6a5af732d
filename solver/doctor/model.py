"""The model folder: its weights, its chat format, its context, and whether memory holds them."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from solver.chat import choose_family, find_family
from solver.chat.families import AUTO
from solver.chat.recognise import recognise
from solver.chat.settle import notes, settle
from solver.chat.template import describe_model
from solver.config import SolverConfig
from solver.doctor.lines import Line, caught, count
from solver.engine import engine_name
from solver.engine.memory import check_memory
from solver.engine.weights import check_weights
from solver.model import check_model, embedded_folder, miniature_folder


def check_folder(config: SolverConfig) -> Iterator[Line]:
    if engine_name(config.engine) == "scripted":
        yield Line("model", "ok", "the scripted engine plays texts and needs none")
        return
    folder = config.engine.model
    if folder is None:
        folder = embedded_folder() if config.engine.embedded == "base" else miniature_folder()
        if not (folder / "config.json").is_file():
            yield Line("model", "ok", "the embedded model, which the first run builds (about a minute)")
            return
    check_model(folder)
    parts: tuple[tuple[str, Callable[[Path, SolverConfig], Iterator[Line]]], ...] = (
        ("model", _weights),
        ("chat", _chat),
        ("model", _context),
        ("memory", _memory),
    )
    for name, part in parts:
        found = list(caught(name, partial(part, folder), config))
        yield from found
        if name == "chat" and any(line.state == "problem" for line in found):
            return  # context and memory are the family's to settle


def _chat(folder: Path, config: SolverConfig) -> Iterator[Line]:
    for line in describe_model(folder, config.chat):
        is_off = "differs" in line or "not compared" in line
        remedy = "look at the prompts, or name another family with chat.family" if "differs" in line else ""
        yield Line("chat", "warning" if is_off else "ok", line.removeprefix("chat "), remedy)
    named = config.chat.family
    found = recognise(folder) if named != AUTO else None
    if found is not None and found.family not in (None, named):
        detail = f"chat.family is {named}, the folder looks like {found.family} ({found.reason})"
        yield Line("chat", "warning", detail, "name the folder with --model, or set chat.family=auto")


def _weights(folder: Path, config: SolverConfig) -> Iterator[Line]:
    if engine_name(config.engine) == "openai":
        yield Line("model", "ok", f"{folder}: its tokenizer; the weights are the servers'")
        return
    sizes = check_weights(folder)
    if not sizes:
        yield Line("model", "problem", f"{folder}: no safetensors", "copy the folder again, with its weights")
        return
    total = sum(sizes.values())
    yield Line("model", "ok", f"{folder}: {count(len(sizes), 'file')}, {total / 1e9:.2f} GB of weights")


def _context(folder: Path, config: SolverConfig) -> Iterator[Line]:
    described = json.loads((folder / "config.json").read_text("utf-8"))
    most = described.get("max_position_embeddings") or described.get("text_config", {}).get("max_position_embeddings")
    asked = settle(config, find_family(choose_family(config.chat.family, folder).family or "")).engine.max_model_len
    if isinstance(most, int) and asked > most:
        detail = f"engine.max_model_len is {asked}, the model was made for {most}"
        yield Line("model", "warning", detail, f"--set engine.max_model_len={most}")


def _memory(folder: Path, config: SolverConfig) -> Iterator[Line]:
    """The engine's own estimate, which it makes again before it loads anything."""
    family = find_family(choose_family(config.chat.family, folder).family or "")
    settled = settle(config, family)
    for note in notes(config, family):
        yield Line("model", "warning", note)
    on_cpu = shutil.which("nvidia-smi") is None
    if engine_name(config.engine) not in ("vllm", "transformers"):
        return
    found = asyncio.run(check_memory(settled.engine, folder, on_cpu=on_cpu))
    for note in found:
        yield Line("memory", "warning", note, "lower engine.max_num_seqs or engine.max_model_len")
    if not found:
        yield Line("memory", "ok", "room for the weights and for every attempt at once")
