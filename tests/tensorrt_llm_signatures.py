"""Reads the signatures that the TensorRT-LLM engine is held against, from what the project publishes for one version.

    git clone --depth 1 --branch gh-pages https://github.com/NVIDIA/TensorRT-LLM pages
    python -m tests.tensorrt_llm_signatures pages/1.2.1

The pages of a version are generated from its source, and name the commit: the search index lists every class with its
fields and methods, the listing of `llm.py` has the methods' parameters, the page of `trtllm-build` its options. Names
alone are kept. `moved` and `examples`, which no such page has, stay as they are in the file.
"""

import ast
import html
import json
import re
import sys
from itertools import chain
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "tensorrt_llm.json"
_API = "tensorrt_llm.llmapi."
# Where the engine finds a class, and whose fields it takes as arguments.
CLASSES = {
    "tensorrt_llm.LLM": "TorchLlmArgs",
    "tensorrt_llm._tensorrt_engine.LLM": "TrtLlmArgs",
    "tensorrt_llm.SamplingParams": "SamplingParams",
    **{
        _API + name: name
        for name in (
            "KvCacheConfig",
            "CudaGraphConfig",
            "EagleDecodingConfig",
            "MTPDecodingConfig",
            "NGramDecodingConfig",
            "DraftTargetDecodingConfig",
        )
    },
}
_RESULTS = ("RequestOutput", "CompletionOutput", "RequestError")
_FILES = ("searchindex.js", "_modules/tensorrt_llm/llmapi/llm.html", "commands/trtllm-build.html")


def read(folder: Path) -> dict[str, Any]:
    """What `folder`, the pages of one version, says: version, source, classes, results, commands."""
    index, listing, build = ((folder / name).read_text("utf-8") for name in _FILES)
    members = _members(index)
    classes: dict[str, dict[str, Any]] = {
        place: {"parameters": _fields(members[_API + name])} for place, name in CLASSES.items()
    }
    llm = members[_API + "LLM"]["method"]
    for place in ("tensorrt_llm.LLM", "tensorrt_llm._tensorrt_engine.LLM"):
        assert {"generate_async", "shutdown"} <= set(llm)
        classes[place]["methods"] = {"generate_async": _parameters(listing, "generate_async"), "shutdown": []}
    options = " ".join(re.findall(r"<kbd>(.*?)</kbd>", build))
    commit = re.search(r"TensorRT-LLM/tree/(\w+)", build)
    return {
        "version": folder.name,
        "source": {
            "repository": "NVIDIA/TensorRT-LLM",
            "commit": commit.group(1) if commit else None,
            "read_from": [f"gh-pages: {folder.name}/{name}" for name in _FILES],
        },
        "classes": classes,
        "results": {name: sorted(chain(*members[_API + name].values())) for name in _RESULTS},
        "commands": {"trtllm-build": sorted(set(re.findall(r"--\w+", options)))},
    }


def _members(index: str) -> dict[str, dict[str, list[str]]]:
    """Of each Python class: names of its members by kind (method, attribute, property, pydantic_field)."""
    tree = json.loads(index[index.index("(") + 1 : index.rindex(")")])
    found: dict[str, dict[str, list[str]]] = {}
    for name, entries in tree["objects"].items():
        for _, kind, _, _, member in entries:
            domain, _, short = tree["objtypes"][str(kind)].partition(":")
            if domain == "py":
                found.setdefault(name, {}).setdefault(short, []).append(member)
    return found


def _fields(members: dict[str, list[str]]) -> list[str]:
    """What the class takes: a pydantic model's fields, a dataclass's attributes."""
    return sorted(members.get("pydantic_field") or members["attribute"])


def _parameters(listing: str, method: str) -> list[str]:
    text = html.unescape(re.sub(r"<[^>]+>", "", listing))
    match = re.search(rf"def {method}\((.*?)\)\s*->", text, re.DOTALL)
    assert match is not None, method
    function = ast.parse(f"def f({match.group(1)}): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    return [argument.arg for argument in function.args.args if argument.arg != "self"]


def main() -> None:
    kept = json.loads(DATA.read_text("utf-8"))
    DATA.write_text(json.dumps(kept | read(Path(sys.argv[1])), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
