"""llm-compressor's part of `merge quantize`, run by the interpreter of its own environment:
`python merge/compress.py SOURCE OUT SCHEME [CALIBRATION]`. Nothing else of this package is imported here, for nothing
else is installed there.

Weights of linear layers are rounded to nearest, with a scale for each row (fp8, w8a8) or group (w4a16, nvfp4); the
output layer and the embeddings stay as they are. fp8 and w8a8 scale activations when they run; nvfp4 needs texts to
learn their range from.
"""

import json
import sys
from pathlib import Path
from typing import Any

_SCHEMES = {"fp8": "FP8_DYNAMIC", "w8a8": "W8A8", "nvfp4": "NVFP4", "w4a16": "W4A16"}
_GROUP_SIZES = (128, 64, 32)
_CALIBRATION_TOKENS = 2048


def main(source: str, output: str, scheme: str, calibration: str | None = None) -> None:
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(source)
    if scheme == "w4a16":
        modifier = QuantizationModifier(config_groups={"group_0": _grouped(model)}, ignore=["lm_head"])
    else:
        modifier = QuantizationModifier(targets="Linear", scheme=_SCHEMES[scheme], ignore=["lm_head"])
    data: dict[str, Any] = {}
    if calibration is not None:
        samples = _dataset(Path(calibration), tokenizer)
        data = {"dataset": samples, "num_calibration_samples": len(samples), "max_seq_length": _CALIBRATION_TOKENS}
    oneshot(model=model, tokenizer=tokenizer, recipe=modifier, **data)
    model.save_pretrained(output, save_compressed=True)


def _grouped(model: Any) -> Any:
    """W4A16 with the largest group that divides every layer's inputs: SmolLM2's 576 are no multiple of 128."""
    from compressed_tensors.quantization import preset_name_to_scheme
    from torch.nn import Linear

    widths = {module.in_features for module in model.modules() if isinstance(module, Linear)}
    fitting = [size for size in _GROUP_SIZES if all(width % size == 0 for width in widths)]
    if not fitting:
        sys.exit(f"w4a16 needs layer inputs that are multiples of {_GROUP_SIZES[-1]}, not {sorted(widths)}")
    scheme = preset_name_to_scheme("W4A16", ["Linear"])
    scheme.weights.group_size = fitting[0]
    return scheme


def _dataset(file: Path, tokenizer: Any) -> Any:
    from datasets import Dataset

    texts = [json.loads(line)["text"] for line in file.read_text("utf-8").splitlines() if line.strip()]
    tokens = [tokenizer(text, truncation=True, max_length=_CALIBRATION_TOKENS) for text in texts]
    return Dataset.from_list([{"input_ids": it["input_ids"], "attention_mask": it["attention_mask"]} for it in tokens])


if __name__ == "__main__":
    main(*sys.argv[1:])
