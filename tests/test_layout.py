"""Who may import whom: heavy libraries only in the file that wraps them, and imports inside the package point down."""

import ast
from pathlib import Path

import solver

PACKAGE = Path(solver.__file__).parent
WRAPPED = {
    "torch": {
        "engine/transformers.py",
        "engine/batch.py",
        "engine/attention.py",
        "engine/kv_cache.py",
        "engine/sampling.py",
        "model.py",
    },
    "transformers": {"engine/transformers.py", "engine/attention.py", "engine/kv_cache.py", "model.py"},
    "vllm": {"engine/vllm.py", "engine/vllm_options.py"},
    "tensorrt_llm": {"engine/tensorrt_llm.py"},
    "aiohttp": {"engine/openai.py", "engine/server.py"},
    "polars": {"problem.py"},
    "rich": {"live.py", "show.py"},
    "typer": {"cli.py", "entry.py"},
    "plotly": {"report/page.py"},
    "tokenizers": {"chat/tokenizer.py", "model.py"},
    "jinja2": {"chat/template.py", "report/page.py"},
}
# Each may import what stands further down, and what stands beside it in the same entry.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"entry"},
    {"doctor", "facade", "resolved"},
    {"run", "service", "show", "tune"},
    {"replay", "simulate", "learn", "report"},
    {"traces"},
    {"solve", "progress", "live", "machinery"},
    {"summary"},
    {"genselect"},
    {"attempt", "consensus", "journal", "model"},
    {"engine"},
    {"chat", "sandbox"},
    {"confidence"},
    {"stop_rules", "hygiene"},
    {"answer", "budget", "problem", "status"},
    {"config", "price"},
    {"competition", "expression"},
    {"types", "errors", "solver"},
]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_heavy_libraries_stay_in_the_file_that_wraps_them() -> None:
    for path in PACKAGE.rglob("*.py"):
        for name in imports(path):
            allowed = WRAPPED.get(name.split(".")[0])
            assert allowed is None or str(path.relative_to(PACKAGE)) in allowed, f"{path} imports {name}"


def layer(module: str) -> int:
    return next(n for n, names in enumerate(LAYERS) if module in names)


def test_imports_point_down() -> None:
    for path in PACKAGE.rglob("*.py"):
        here = path.relative_to(PACKAGE).with_suffix("").parts[0].replace("__init__", "solver")
        for name in imports(path):
            package, *rest = name.split(".")
            assert package not in ("submission", "merge", "kaggle", "bench", "tests"), f"{path} imports {name}"
            if (here, name) == ("solver", "solver.facade"):
                continue  # `from solver import Solver`, which imports it when it is asked for
            if package == "solver":
                there = rest[0] if rest else "solver"
                assert layer(there) >= layer(here), f"{path} imports {name}, which stands above it"


def test_types_and_errors_use_the_standard_library_alone() -> None:
    import sys

    for name in ("types.py", "errors.py", "status.py"):
        for module in imports(PACKAGE / name):
            assert module.split(".")[0] in {*sys.stdlib_module_names, "solver"}, f"{name} imports {module}"
