"""Whole checkpoints of a few thousand parameters, made without torch: tiny Llamas over a byte-level tokenizer, and
adapters."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from merge.checkpoint import from_float32, write_safetensors

HIDDEN, INNER, HEADS, KV_HEADS, LAYERS = 32, 48, 4, 2, 2
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
LINEARS = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}


def make_checkpoint(
    folder: Path,
    seed: int = 0,
    *,
    near: int | None = None,
    dtype: str = "bfloat16",
    tied: bool = True,
    added: Sequence[str] = (),
    vocab: int | None = None,
    shards: int = 1,
    change: Callable[[str, np.ndarray], np.ndarray] | None = None,
    **config: Any,
) -> Path:
    """`near`: the seed of weights that this one is a small step away from, as fine-tunes of one base are. `change`:
    name and float32 values of each tensor to what is stored. `shards`: how many files."""
    folder.mkdir(parents=True)
    size = write_tokenizer(folder, added)
    rows = vocab or size
    code = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[dtype]
    values = {}
    for name, shape in tensor_shapes(rows, tied=tied).items():
        tensor = _random(name, shape, seed) if near is None else _random(name, shape, near) * 1.0
        if near is not None:
            tensor = tensor + 0.02 * _random(name, shape, seed)
        values[name] = tensor if change is None else change(name, tensor)
    names = list(values)
    files = np.array_split(np.array(names), shards)
    for number, part in enumerate(files, 1):
        file = f"model-{number:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
        entries = {str(name): (code, values[name].shape) for name in part}
        write_safetensors(folder / file, entries, lambda name: [from_float32(values[name], code)])
    if shards > 1:
        _write_index(folder, files, sum(from_float32(v, code).nbytes for v in values.values()))
    settings = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": rows, "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": tied, "bos_token_id": 0, "eos_token_id": 2, "dtype": dtype,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings | config), "utf-8")
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 2}), "utf-8")
    return folder


def tensor_shapes(rows: int, *, tied: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        shapes |= {f"{prefix}{name}.weight": shape for name, shape in LINEARS.items()}
        shapes |= {f"{prefix}{name}.weight": (HIDDEN,) for name in ("input_layernorm", "post_attention_layernorm")}
    shapes["model.norm.weight"] = (HIDDEN,)
    return shapes if tied else {**shapes, "lm_head.weight": (rows, HIDDEN)}


def _random(name: str, shape: tuple[int, ...], seed: int) -> Any:
    generator = np.random.default_rng([seed, *name.encode()])
    values = generator.standard_normal(shape, dtype=np.float32)
    return 1 + 0.1 * values if "norm" in name else 0.1 * values


def _write_index(folder: Path, files: Sequence[np.ndarray], total: int) -> None:
    shards = len(files)
    where = {str(n): f"model-{k:05}-of-{shards:05}.safetensors" for k, part in enumerate(files, 1) for n in part}
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def write_tokenizer(folder: Path, added: Sequence[str] = ()) -> int:
    """Bytes, and special tokens first; how many tokens there are."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIALS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (*SPECIALS, *added)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return tokenizer.get_vocab_size(with_added_tokens=True)


def make_adapter(folder: Path, seed: int = 0, *, rank: int = 4, scale: float = 0.1, **config: Any) -> Path:
    """A LoRA of all linear layers in peft's format, bfloat16."""
    folder.mkdir(parents=True)
    tensors = {}
    for layer in range(LAYERS):
        for name, (out, inner) in LINEARS.items():
            prefix = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{prefix}.lora_A.weight"] = (rank, inner)
            tensors[f"{prefix}.lora_B.weight"] = (out, rank)
    entries = {name: ("BF16", shape) for name, shape in tensors.items()}
    write_safetensors(
        folder / "adapter_model.safetensors",
        entries,
        lambda name: [from_float32(scale * _random(name, tensors[name], seed), "BF16")],
    )
    modules = sorted(name.rpartition(".")[2] for name in LINEARS)
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": modules, "bias": "none"}
    settings |= {"task_type": "CAUSAL_LM", "base_model_name_or_path": "base"}
    (folder / "adapter_config.json").write_text(json.dumps(settings | config), "utf-8")
    return folder
