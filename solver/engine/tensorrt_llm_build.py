"""The steps from a checkpoint to a prebuilt TensorRT-LLM engine: FP8 and, with a drafter, ReDrafter (AIMO-2's recipe).

    python -m solver.engine.tensorrt_llm_build MODEL -o ENGINE --examples TensorRT-LLM/examples [--redrafter DRAFTER]

prints the commands; with --run it runs them, one after another, on a machine with the GPU that the engine is for. Not
run here. ReDrafter is in the engine flow alone, which TensorRT-LLM has up to 1.2; its examples must be of the version
that is installed.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class BuildPlan:
    model: Path
    """A Hugging Face folder."""
    engine: Path
    """Where the engine goes; checkpoints on the way lie beside it."""
    examples: Path
    """`examples/` of TensorRT-LLM's sources."""
    drafter: Path | None = None
    """A trained ReDrafter head; None: FP8 alone."""
    max_attempts: int = 32
    max_tokens: int = 32_000
    tensor_parallel_size: int = 1
    draft_length: int = 3
    """Tokens drafted in a step: what the drafter was trained for."""

    def commands(self) -> list[list[str]]:
        """Each as its words. The settings are those published with OpenMath-Nemotron-14B-Kaggle."""
        checkpoint = self.engine.with_name(self.engine.name + "-fp8-checkpoint")
        commands = [self._quantize(checkpoint)]
        if self.drafter is not None:
            joined = self.engine.with_name(self.engine.name + "-redrafter-checkpoint")
            commands.append(self._add_drafter(self.drafter, checkpoint, joined))
            checkpoint = joined
        return [*commands, self._build(checkpoint)]

    def _quantize(self, checkpoint: Path) -> list[str]:
        command = [sys.executable, str(self.examples / "quantization" / "quantize.py")]
        command += ["--model_dir", str(self.model), "--output_dir", str(checkpoint)]
        command += ["--dtype", "bfloat16", "--qformat", "fp8", "--kv_cache_dtype", "fp8", "--calib_size", "512"]
        return [*command, "--tp_size", str(self.tensor_parallel_size)]

    def _add_drafter(self, drafter: Path, base: Path, joined: Path) -> list[str]:
        command = [sys.executable, str(self.examples / "redrafter" / "convert_checkpoint.py")]
        command += ["--base_model_checkpoint_dir", str(base), "--drafter_model_dir", str(drafter)]
        command += ["--output_dir", str(joined), "--dtype", "bfloat16", "--tp_size", str(self.tensor_parallel_size)]
        return [*command, "--redrafter_num_beams", "1", "--redrafter_draft_len_per_beam", str(self.draft_length)]

    def _build(self, checkpoint: Path) -> list[str]:
        command = ["trtllm-build", "--checkpoint_dir", str(checkpoint), "--output_dir", str(self.engine)]
        command += ["--gemm_plugin", "fp8", "--use_paged_context_fmha", "enable", "--kv_cache_type", "paged"]
        command += ["--max_batch_size", str(self.max_attempts), "--max_beam_width", "1"]
        # A turn's prompt is the whole transcript, so prompts are as long as contexts.
        for limit in ("--max_seq_len", "--max_input_len", "--max_num_tokens"):
            command += [limit, str(self.max_tokens)]
        return command + (["--speculative_decoding_mode", "explicit_draft_tokens"] if self.drafter else [])

    def copy_tokenizer(self) -> None:
        """The engine folder is then a model folder to the solver."""
        for name in _TOKENIZER_FILES:
            if (self.model / name).is_file():
                shutil.copy(self.model / name, self.engine / name)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m solver.engine.tensorrt_llm_build", description=__doc__)
    parser.add_argument("model", type=Path, help="Hugging Face folder")
    parser.add_argument("-o", "--engine", type=Path, required=True)
    parser.add_argument("--examples", type=Path, required=True, help="examples/ of TensorRT-LLM's sources")
    parser.add_argument("--redrafter", type=Path, help="a trained drafter")
    parser.add_argument("--attempts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32_000)
    parser.add_argument("--tp", type=int, default=1)
    parser.add_argument("--run", action="store_true", help="run the commands; without it they are printed")
    given = parser.parse_args(arguments)
    plan = BuildPlan(given.model, given.engine, given.examples, given.redrafter, given.attempts, given.tokens, given.tp)
    for command in plan.commands():
        print(shlex.join(command), flush=True)  # noqa: T201  a command's output
        if given.run and (code := _run(command)):
            return code
    print(f"# then: tokenizer files from {plan.model} to {plan.engine}")  # noqa: T201
    if given.run:
        plan.copy_tokenizer()
    return 0


def _run(command: Sequence[str]) -> int:
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        print(f"error: cannot run {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    if code:
        name = Path(command[1] if command[0] == sys.executable else command[0]).name
        print(f"error: {name} ended with status {code}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
