"""Supervised fine-tuning of a parent: LoRA or full, float32 on a CPU, bfloat16 on a GPU; loss on the model's own text.

Batches are cut by tokens from samples of like length (the length buckets of Nemotron-Math, arXiv 2512.15489, section on
sequential bucketed training), so that hardly any padding is computed. The learning rate warms up, stays, and decays
linearly over the last steps (WSD: a run can be prolonged from its checkpoint before the decay).

A killed training leaves its last checkpoint and goes on from there; the adapter that a merge reads is written at the
end, beside its destination and renamed.
"""

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from merge.samples import TokenSample, read_samples, tokenize
from solver.chat import build_chat, load_tokenizer
from solver.config import SolverConfig, load_config
from solver.errors import UsageError

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    base: str
    samples: str
    output: str
    preset: str = "miniature"
    start: tuple[str, ...] = ()
    """Adapters of earlier trainings to go on from: the mean of their factors, so that trainings from one start may run
    side by side (local SGD, arXiv 1805.09767)."""
    rank: int = 16
    """LoRA's rank on all linear layers; 0: full fine-tuning."""
    learning_rate: float = 1e-3
    tokens_per_batch: int = 1024
    """Tokens of a step, padding included."""
    max_length: int = 512
    """Longer samples are left out, and counted."""
    warmup_steps: int = 10
    decay_steps: int = 40
    max_steps: int = 0
    """0: once through the samples."""
    order: str = "mixed"
    """mixed: batches in random order. sequential: short ones first, stage by stage."""
    checkpoint_seconds: float = 300.0
    seed: int = 0


def make_batches(lengths: Sequence[int], config: TrainConfig) -> list[list[int]]:
    """Indices of samples, batch by batch: of like length, padded to at most `tokens_per_batch` tokens."""
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    batches: list[list[int]] = [[]]
    for index in by_length:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[index] > config.tokens_per_batch:
            batches.append([])
        batches[-1].append(index)
    if config.order == "mixed":
        Random(config.seed).shuffle(batches)
    return batches


def padding_saved(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """How many times fewer positions are computed than with every sample padded to the longest."""
    return len(lengths) * max(lengths) / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


def learning_rate(step: int, num_steps: int, config: TrainConfig) -> float:
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = min(1.0, (num_steps - step) / max(1, config.decay_steps))
    return config.learning_rate * min(warm, left)


def load_tokens(config: TrainConfig, solver_config: SolverConfig) -> list[TokenSample]:
    tokenizer = load_tokenizer(Path(config.base))
    chat = build_chat(solver_config.chat, tokenizer)
    samples = [tokenize(it, chat, tokenizer) for it in read_samples(Path(config.samples))]
    if not samples:
        raise UsageError(f"{config.samples} holds no sample: write some with `merge samples`")
    kept = [it for it in samples if len(it) <= config.max_length]
    if not kept:
        raise UsageError(f"no sample of {config.samples} has at most {config.max_length} tokens: raise --max-length")
    if len(kept) < len(samples):
        _say(
            f"{len(samples) - len(kept)} of {len(samples)} samples are longer than {config.max_length} tokens: left out"
        )
    return kept


class Training:
    """Model, optimizer and place in the data; `run` goes on from the last checkpoint."""

    def __init__(self, config: TrainConfig, samples: Sequence[TokenSample]) -> None:
        import torch

        torch.manual_seed(config.seed)
        self.config = config
        self.samples = samples
        self.batches = make_batches([len(it) for it in samples], config)
        self.num_steps = min(config.max_steps or len(self.batches), len(self.batches))
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = self._load()
        self.weights = [it for it in self.model.parameters() if it.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, betas=(0.9, 0.98), weight_decay=0.0)
        self.step = 0
        self.checkpoint = Path(f"{config.output}.checkpoint.pt")
        self._resume()

    def _load(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        from merge.lora_product import join_products

        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(self.config.base, dtype=dtype).to(self.device)
        model.config.use_cache = False
        if self.config.rank == 0:
            return model.train()
        adapted = self._adapt(model).to(dtype)
        join_products(adapted)
        return adapted

    def _adapt(self, model: Any) -> Any:
        from peft import LoraConfig, PeftModel, get_peft_model

        if self.config.start:
            first, *others = self.config.start
            adapted = PeftModel.from_pretrained(model, first, is_trainable=True, autocast_adapter_dtype=False)
            for settings in adapted.peft_config.values():
                settings.base_model_name_or_path = self.config.base  # saving looks there for the vocabulary's size
            if others:
                _average(adapted, others)
            return adapted
        rank = self.config.rank
        return get_peft_model(
            model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
        )

    def run(self) -> None:
        started = saved = time.monotonic()
        tokens = 0
        losses: list[float] = []
        while self.step < self.num_steps:
            batch = [self.samples[i] for i in self.batches[self.step]]
            losses.append(self._take_step(batch))
            tokens += sum(map(len, batch))
            if self.step % 5 == 0 or self.step == self.num_steps:
                speed = tokens / (time.monotonic() - started)
                recent = losses[-5:]
                _say(f"step {self.step}/{self.num_steps} loss {sum(recent) / len(recent):.4f} · {speed:.0f} tokens/s")
            if time.monotonic() - saved > self.config.checkpoint_seconds:
                self._save_checkpoint()
                saved = time.monotonic()
        self._save_checkpoint()
        self._write()

    def _take_step(self, batch: Sequence[TokenSample]) -> float:
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.num_steps, self.config)
        loss = self._losses(batch)[0].mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())

    def nats(self, batch: Sequence[TokenSample]) -> list[float]:
        """-ln of the probability of each sample's own text."""
        import torch

        with torch.no_grad():
            losses, rows = self._losses(batch)
            sums: list[float] = torch.zeros(len(batch), device=self.device).index_add_(0, rows, losses).tolist()
        return sums

    def _losses(self, batch: Sequence[TokenSample]) -> tuple[Any, Any]:
        """Cross-entropy of every own token, and its sample; the vocabulary's head, a fifth of the work, sees only
        these."""
        import torch

        longest = max(map(len, batch))
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        own = torch.zeros(len(batch), longest, dtype=torch.bool)
        for row, sample in enumerate(batch):
            ids[row, : len(sample)] = torch.tensor(sample.token_ids)
            mask[row, : len(sample)] = 1
            own[row, : len(sample)] = torch.tensor(sample.is_own)
        ids, mask, own = ids.to(self.device), mask.to(self.device), own.to(self.device)
        inner = self.model.base_model.model if self.config.rank else self.model
        hidden = inner.model(input_ids=ids, attention_mask=mask).last_hidden_state
        learned = own[:, 1:]
        logits = inner.lm_head(hidden[:, :-1][learned])
        losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][learned], reduction="none")
        return losses, learned.nonzero()[:, 0]

    def _resume(self) -> None:
        import torch

        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        trainable = {name: it for name, it in self.model.named_parameters() if it.requires_grad}
        with torch.no_grad():
            for name, tensor in state["weights"].items():
                trainable[name].copy_(tensor)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        _say(f"going on from step {self.step} of {self.checkpoint}")

    def _save_checkpoint(self) -> None:
        import torch

        weights = {name: it.detach() for name, it in self.model.named_parameters() if it.requires_grad}
        partial = self.checkpoint.with_suffix(".partial")
        torch.save({"weights": weights, "optimizer": self.optimizer.state_dict(), "step": self.step}, partial)
        partial.replace(self.checkpoint)

    def _write(self) -> None:
        """The adapter (or the whole model) in bfloat16, as a merge reads it."""
        import torch

        destination = Path(self.config.output)
        partial = destination.with_name(f".{destination.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        self.model.to(torch.bfloat16).save_pretrained(partial)
        record = {**asdict(self.config), "base": Path(self.config.base).name, "samples": Path(self.config.samples).name}
        record |= {
            "output": destination.name,
            "start": [Path(start).name for start in self.config.start],
            "steps": self.step,
            "tokens": sum(len(self.samples[i]) for batch in self.batches[: self.step] for i in batch),
        }
        _forget_the_machine(partial / "adapter_config.json", record["base"])
        (partial / "training.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        shutil.rmtree(destination, ignore_errors=True)
        partial.rename(destination)


def _average(adapted: Any, others: Sequence[str]) -> None:
    """Put the mean of its adapter's factors and those of the others in their place. Raises UsageError where they differ
    in shape."""
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights, set_peft_model_state_dict

    own = get_peft_model_state_dict(
        adapted, save_embedding_layers=False
    )  # else it asks the hub about the base's vocabulary
    mean = {name: tensor.float() for name, tensor in own.items()}
    for other in others:
        weights = load_peft_weights(other, device="cpu")
        if {name: it.shape for name, it in weights.items()} != {name: it.shape for name, it in mean.items()}:
            raise UsageError(f"{other} is an adapter of another shape: a mean needs one rank and the same layers")
        for name, tensor in weights.items():
            mean[name] += tensor.float().to(mean[name].device)
    for tensor in mean.values():
        tensor /= 1 + len(others)
    set_peft_model_state_dict(adapted, mean)


def _forget_the_machine(adapter_config: Path, base: str) -> None:
    """peft writes the path of the base into it."""
    if adapter_config.is_file():
        settings = json.loads(adapter_config.read_text("utf-8")) | {"base_model_name_or_path": base}
        adapter_config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def train(config: TrainConfig) -> None:
    """Raises UsageError for samples that cannot be read or do not fit."""
    samples = load_tokens(config, load_config(config.preset))
    training = Training(config, samples)
    lengths = [len(it) for it in samples]
    _say(
        f"{len(samples)} samples, {sum(lengths)} tokens, {training.num_steps} steps; "
        f"{padding_saved(lengths, training.batches):.1f} times fewer positions than padded to the longest"
    )
    training.run()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  progress
