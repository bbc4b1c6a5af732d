"""Loads checkpoints as transformers does, one after the other, and reads a fixed text with each. Run as `python -m
merge.probe JSON`, a list of [folder] or [folder, adapter], in a process of its own, so that memory is given back and no
library stays loaded; prints one line of JSON for each.

`nll`: mean negative log-likelihood in nats of each next token of the text. Uniform guessing has ln(vocabulary).
"""

import json
import sys
from pathlib import Path
from typing import Any

# Plain arithmetic prose: any language model that has seen text finds it likelier than chance.
TEXT = (
    "Let n be a positive integer. The sum of the first n positive integers is n(n+1)/2. For n = 10 this gives "
    "10 * 11 / 2 = 55. We can check it by adding: 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 = 55. "
    "Therefore, the answer is 55."
)


def probe(folder: Path, adapter: Path | None = None) -> dict[str, Any]:
    """{"nll": float, "vocabulary": int, "missing": [tensor names], "unexpected": [...], "next": most likely token}"""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text("utf-8"))
    dtype = "auto" if "quantization_config" in settings or torch.cuda.is_available() else torch.float32
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    ids = tokenizer(TEXT, return_tensors="pt", add_special_tokens=False).input_ids
    with torch.inference_mode():
        logits = model(ids.to(model.device)).logits[0].float().cpu()
    nll = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:]).item()
    return {
        "nll": nll,
        "vocabulary": logits.shape[-1],
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "next": tokenizer.decode(logits[-1].argmax().item()),
    }


if __name__ == "__main__":
    for arguments in json.loads(sys.argv[1]):
        sys.stdout.write(json.dumps(probe(*map(Path, arguments))) + "\n")
