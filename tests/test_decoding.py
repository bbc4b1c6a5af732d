"""What the transformers engine adds to a model's own decoding step: its KV cache, its attention, its drawing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.config import EngineConfig
from solver.engine import build_engine
from solver.errors import EngineError
from solver.model import find_model
from solver.types import SamplingParams

pytestmark = pytest.mark.real  # torch takes seconds to import

Move = tuple[int, list[int], int]
"""Steps to take, the lengths of turns that join then, and which of the running turns leave (as bits)."""
moves = st.lists(
    st.tuples(st.integers(0, 150), st.lists(st.integers(1, 9) | st.integers(1, 300), max_size=4), st.integers(0, 255)),
    min_size=1,
    max_size=8,
)


@given(moves)
def test_every_running_turn_finds_its_own_keys_and_values_whoever_joined_and_left(moves: list[Move]) -> None:
    import torch

    from solver.engine.batch import _closed_up
    from solver.engine.kv_cache import RunningLayer

    written = 0

    def states(rows: int, columns: int) -> Any:
        nonlocal written
        numbers = torch.arange(written, written + rows * columns, dtype=torch.float64)
        written += rows * columns
        return numbers.view(rows, 1, columns, 1)

    layer, turns = RunningLayer(), []  # of each turn what it wrote
    for num_steps, joining, leaving in moves:
        added = [states(1, length) for length in joining]
        if added:
            layer.add([(keys, -keys) for keys in added])
            turns += [keys.flatten().tolist() for keys in added]
        for _ in range(num_steps if turns else 0):
            keys = states(len(turns), 1)
            layer.update(keys, -keys)
            turns = [[*turn, key] for turn, key in zip(turns, keys.flatten().tolist(), strict=True)]
        rows = [row for row in range(len(turns)) if not leaving >> row & 1]
        if not rows:
            layer, turns = RunningLayer(), []
            continue
        turns = [turns[row] for row in _closed_up(rows)]
        layer.keep(_closed_up(rows), max(map(len, turns)))
        assert layer.get_seq_length() == max(map(len, turns))
        for row, turn in enumerate(turns):
            assert layer.keys[row, 0, -len(turn) :, 0].tolist() == turn
            assert layer.values[row, 0, -len(turn) :, 0].tolist() == [-key for key in turn]
            assert not layer.keys[row, 0, : -len(turn)].any()
            assert not layer.values[row, 0, : -len(turn)].any()


@given(st.lists(st.booleans(), max_size=40))
def test_a_row_that_stays_is_there_once_and_moves_up_or_not_at_all(stays: list[bool]) -> None:
    from solver.engine.batch import _closed_up

    rows = [row for row, it in enumerate(stays) if it]
    order = _closed_up(rows)
    assert sorted(order) == rows
    assert all(source == target or source >= len(rows) for target, source in enumerate(order))


@pytest.mark.parametrize(("heads", "groups"), [(9, 3), (4, 4), (6, 1)])
@pytest.mark.parametrize("padded", [True, False])
def test_heads_that_share_keys_attend_as_if_each_had_its_own(heads: int, groups: int, padded: bool) -> None:
    import torch
    from torch import nn
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from solver.engine.attention import attend

    torch.manual_seed(1)
    query, key, value = torch.randn(5, heads, 1, 8), torch.randn(5, groups, 20, 8), torch.randn(5, groups, 20, 8)
    mask = (torch.arange(20) >= torch.tensor([0, 3, 7, 19, 11])[:, None])[:, None, None] if padded else None
    module = nn.Module()
    module.num_key_value_groups = heads // groups
    ours, _ = attend(module, query, key, value, mask, scaling=0.3)
    theirs, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs)


def test_a_model_answers_the_same_with_its_heads_grouped() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from solver.engine.attention import group_heads
    from solver.engine.kv_cache import running_cache

    torch.manual_seed(1)
    sizes = {"hidden_size": 24, "intermediate_size": 8, "num_hidden_layers": 2, "vocab_size": 50}
    config = LlamaConfig(**sizes, num_attention_heads=6, num_key_value_heads=2)
    model = LlamaForCausalLM(config).eval()

    def next_logits() -> Any:
        cache = running_cache(config)
        for layer in cache.layers:
            torch.manual_seed(2)
            layer.add([(torch.randn(1, 2, length, 4), torch.randn(1, 2, length, 4)) for length in (3, 7)])
        mask = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [1] * 8])
        output = model(
            torch.tensor([[5], [6]]), attention_mask=mask, position_ids=torch.tensor([[3], [7]]), past_key_values=cache
        )
        return output.logits

    with torch.inference_mode():
        before = next_logits()
        group_heads(model)
        assert model.config._attn_implementation == "grouped"
        torch.testing.assert_close(next_logits(), before)


@given(st.integers(1, 2000), st.integers(0, 2**32))
def test_the_token_drawn_is_the_one_whose_share_of_the_total_holds_the_number(vocabulary: int, seed: int) -> None:
    import torch

    from solver.engine.sampling import _look_up

    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(3, vocabulary, generator=generator) ** 8
    probabilities[:, :: seed % 5 + 2] = 0
    probabilities[:, vocabulary // 2] = 0.5
    numbers = torch.tensor([[0.0], [float(torch.rand(1, generator=generator))], [1 - 2**-53]], dtype=torch.float64)
    tokens = _look_up(probabilities, numbers)
    ends = probabilities.double().cumsum(-1)
    for row, token in enumerate(tokens.tolist()):
        share = numbers[row, 0] * ends[row, -1]
        assert probabilities[row, token] > 0
        assert ends[row, token] - probabilities[row, token].double() <= share * (1 + 1e-12)
        assert share <= ends[row, token] * (1 + 1e-12)


@pytest.mark.parametrize("where", ["join", "step"])
def test_a_failure_of_the_model_is_told_to_every_turn_and_to_those_that_come_later(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from solver.engine.batch import Batch

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    async def ask(engine: Any) -> str:
        turn: AsyncIterator[Any] = engine.generate([1, 2, 3], SamplingParams(max_tokens=9, temperature=0.0))
        async with asyncio.timeout(60), aclosing(turn):  # type: ignore[type-var]
            try:
                return str([it async for it in turn])
            except EngineError as error:
                return str(error)

    async def main() -> list[str]:
        config = EngineConfig(name="transformers", max_model_len=64, max_num_seqs=2, threads=1)
        engine = build_engine(config, await find_model(None, "base"))
        await engine.start()
        monkeypatch.setattr(Batch, where, fail)
        at_once = await asyncio.gather(*(ask(engine) for _ in range(4)))
        later = await ask(engine)
        await engine.close()
        return [*at_once, later]

    assert asyncio.run(main()) == ["transformers stopped working: out of memory"] * 5
