"""What a training is asked for, and whether the adapters that it goes on from can be gone on from."""

from dataclasses import dataclass
from pathlib import Path

from merge.adapter import Adapter, check_adapter, read_adapter
from merge.checkpoint import read_checkpoint, read_json
from solver.errors import UsageError


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


def check_start(config: TrainConfig) -> None:
    """Raises UsageError or CheckpointError: one is missing, is for another base, or unlike the others."""
    base = read_checkpoint(Path(config.base))
    adapters = [_read(Path(start)) for start in config.start]
    for adapter in adapters:
        check_adapter(adapter, base)
        if _shapes(adapter) != _shapes(adapters[0]):
            raise UsageError(
                f"{adapter.folder} is an adapter of another shape: a mean needs one rank and the same layers"
            )


def check_rank(config: TrainConfig) -> None:
    """Raises UsageError where an adapter to go on from has another rank than is asked for: it would keep its own."""
    for start in config.start:
        rank = read_json(Path(start) / "adapter_config.json").get("r")
        if config.rank == 0:
            raise UsageError(f"{start} is an adapter, and rank 0 trains the whole model: give --rank {rank}")
        if config.rank != rank:
            raise UsageError(f"{start} is an adapter of rank {rank}, not {config.rank}: give --rank {rank}")


def check_logits(base: str) -> None:
    """Raises UsageError for a model (Gemma, Granite, Cohere) whose logits are more than its head's product: the loss of
    a training is of that product."""
    config = read_json(Path(base) / "config.json")
    for name, neutral in (("final_logit_softcapping", None), ("logits_scaling", 1), ("logit_scale", 1)):
        if config.get(name, neutral) != neutral:
            raise UsageError(f"{base} has {name} {config[name]} in its config.json: such models cannot be trained here")


def _read(folder: Path) -> Adapter:
    if not (folder / "adapter_config.json").is_file():
        raise UsageError(f"{folder} is no adapter (it has no adapter_config.json): name the folder of a training")
    return read_adapter(folder)


def _shapes(adapter: Adapter) -> dict[str, tuple[tuple[int, ...], ...]]:
    return {name: (delta.a.shape, delta.b.shape) for name, delta in adapter.deltas.items()}
