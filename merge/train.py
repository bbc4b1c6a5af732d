"""Supervised fine-tuning of a parent: LoRA or full, float32 on a CPU, bfloat16 on a GPU; loss on the model's own text.

With LoRA a CPU that has bfloat16 instructions uses them: what is frozen and the activations are bfloat16 then, what is
trained stays float32.

A killed training leaves its last checkpoint and goes on from there, and so does a finished one: `merge.training_state`.
The adapter that a merge reads is written at the end, beside its destination and renamed.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from merge.checkpoint import TOKENIZER_FILES, read_checkpoint
from merge.output import exclusive
from merge.parents import copy_files, write_config
from merge.samples import TokenSample, read_samples, tokenize
from merge.schedule import learning_rate, make_batches, padding_saved
from merge.train_config import TrainConfig, check_logits, check_rank, check_start
from merge.training_state import RECORD, SavedTraining, identify
from solver.chat import build_chat, load_tokenizer
from solver.config import SolverConfig, load_config
from solver.engine.device import has_bfloat16
from solver.errors import UsageError

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_SHORT = 1024


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
    """Model, optimizer and place in the data; see `resume` for one that goes on from its checkpoint."""

    def __init__(self, config: TrainConfig, samples: Sequence[TokenSample], in_bfloat16: bool | None = None) -> None:
        """`in_bfloat16`: how a CPU multiplies LoRA's products; None: as fast as it can."""
        import torch

        torch.manual_seed(config.seed)
        self.config = config
        self.samples = samples
        self.batches = make_batches([len(it) for it in samples], config)
        self.num_steps = min(config.max_steps or len(self.batches), len(self.batches))
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = self._load(has_bfloat16() if in_bfloat16 is None else in_bfloat16)
        self.weights = [it for it in self.model.parameters() if it.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, betas=(0.9, 0.98), weight_decay=0.0)
        self.step = 0

    def _load(self, in_bfloat16: bool) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        from merge.lora_product import compute_in_bfloat16, join_products

        on_cpu = self.device == "cpu"
        dtype = torch.float32 if on_cpu else torch.bfloat16
        # A CPU computes short sequences faster without the fused attention, which is made for long ones.
        attention = "eager" if on_cpu and self.config.max_length <= _SHORT else None
        model = AutoModelForCausalLM.from_pretrained(self.config.base, dtype=dtype, attn_implementation=attention)
        model = model.to(self.device)
        model.config.use_cache = False
        if self.config.rank == 0:
            return model.train()
        adapted = self._adapt(model).to(dtype)
        if on_cpu and join_products(adapted) and in_bfloat16:
            compute_in_bfloat16(adapted)
        elif on_cpu and in_bfloat16:
            _say("computing in float32, though this CPU has bfloat16: an adapted layer has a bias or dropout")
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

    def run(self, saved: SavedTraining) -> None:
        started = written = time.monotonic()
        tokens = 0
        losses: list[float] = []
        while self.step < self.num_steps:
            batch = [self.samples[i] for i in self.batches[self.step]]
            losses.append(self.take_step(batch))
            tokens += sum(map(len, batch))
            if self.step % 5 == 0 or self.step == self.num_steps:
                speed = tokens / (time.monotonic() - started)
                recent = losses[-5:]
                _say(f"step {self.step}/{self.num_steps} loss {sum(recent) / len(recent):.4f} · {speed:.0f} tokens/s")
            if time.monotonic() - written > self.config.checkpoint_seconds:
                saved.write(self.state())
                written = time.monotonic()
        saved.write(self.state())

    def take_step(self, batch: Sequence[TokenSample]) -> float:
        """Returns the batch's mean loss a token, in nats, before the step."""
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
        own_hidden, targets = hidden[:, :-1][learned], ids[:, 1:][learned]
        return self._head_losses(inner.lm_head, own_hidden, targets), learned.nonzero()[:, 0]

    def _head_losses(self, head: Any, hidden: Any, targets: Any) -> Any:
        import torch

        from merge.head_loss import head_losses

        is_frozen = type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad
        if self.device == "cpu" and is_frozen:
            return head_losses(hidden, head.weight, targets)
        return torch.nn.functional.cross_entropy(head(hidden).float(), targets, reduction="none")

    def state(self) -> dict[str, Any]:
        weights = {name: it.detach() for name, it in self.model.named_parameters() if it.requires_grad}
        return {"weights": weights, "optimizer": self.optimizer.state_dict(), "step": self.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        import torch

        trainable = {name: it for name, it in self.model.named_parameters() if it.requires_grad}
        with torch.no_grad():
            for name, tensor in state["weights"].items():
                trainable[name].copy_(tensor)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def write(self, saved: SavedTraining, partial: Path) -> None:
        """The adapter (or the whole model) in bfloat16, as a merge reads it: in a new folder, then as the output."""
        import torch

        self.model.to(torch.bfloat16).save_pretrained(partial)
        if self.config.rank == 0:
            _complete(Path(self.config.base), partial)
        record = {**self._record(), **saved.identity}
        _forget_the_machine(partial / "adapter_config.json", record["base"])
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        saved.publish(partial)

    def _record(self) -> dict[str, Any]:
        return asdict(self.config) | {
            "base": Path(self.config.base).name,
            "samples": Path(self.config.samples).name,
            "output": Path(self.config.output).name,
            "start": [Path(start).name for start in self.config.start],
            "steps": self.step,
            "tokens": sum(len(self.samples[i]) for batch in self.batches[: self.step] for i in batch),
        }


def _average(adapted: Any, others: Sequence[str]) -> None:
    """Put the mean of its adapter's factors and those of the others, all of one shape, in their place."""
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights, set_peft_model_state_dict

    own = get_peft_model_state_dict(
        adapted, save_embedding_layers=False
    )  # else it asks the hub about the base's vocabulary
    mean = {name: tensor.float() for name, tensor in own.items()}
    for other in others:
        weights = load_peft_weights(other, device="cpu")
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


def _complete(base: Path, folder: Path) -> None:
    """A whole model has its base's tokenizer, chat template and end tokens, and the base's own config.json."""
    copy_files(base, folder, (*TOKENIZER_FILES, "generation_config.json"))
    write_config(read_checkpoint(base), folder, "bfloat16")


def resume(config: TrainConfig, samples: Sequence[TokenSample], saved: SavedTraining) -> Training:
    """From its checkpoint, where there is one. Raises UsageError, before the model is loaded, where that is of another
    training."""
    state = saved.read(config.max_steps)
    training = Training(config, samples)
    if state is not None:
        training.restore(state)
        _say(f"going on from step {training.step} of {saved.checkpoint}")
    return training


def train(config: TrainConfig) -> None:
    """Raises UsageError, CheckpointError or MergeError, before the model is loaded, for adapters or samples that cannot
    be read or do not fit, and where the output or its checkpoint is not of this training."""
    check_start(config)
    check_rank(config)
    check_logits(config.base)
    samples = load_tokens(config, load_config(config.preset))
    saved = SavedTraining(Path(config.output), identify(config, samples))
    saved.prepare()
    saved.read(config.max_steps)  # one of another training is refused now, not after a wait
    lengths = [len(it) for it in samples]
    with exclusive(saved.output, _say) as work:
        saved.check_output()
        training = resume(config, samples, saved)
        _say(
            f"{len(samples)} samples, {sum(lengths)} tokens, {training.num_steps} steps; "
            f"{padding_saved(lengths, training.batches):.1f} times fewer positions than padded to the longest"
        )
        training.run(saved)
        training.write(saved, work / "out")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  progress
