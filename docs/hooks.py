"""Pages that are generated when the documentation is built: the command line, the settings, the benches' figures."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from pydantic import BaseModel

PROJECT = Path(__file__).parent.parent
_BENCHES = {"budget_long": "budget", "throughput_192": "throughput", "throughput_rounds": "throughput"}
_RUNS = {  # results of the solver's own commands
    "genselect": "GenSelect on the examples, by the embedded model",
    "gsm8k_200": "200 problems of GSM8K in ten minutes, by the embedded model",
    "merge_weights": "The embedded model's parents, and merges of them from one to the other",
    "miniature": "The embedded model on problems it was not trained on",
    "quantize": "The embedded model before and after quantization to eight bits",
}
sys.path.insert(0, str(PROJECT))

from docs.figures import fill_in  # noqa: E402  (mkdocs runs this file from anywhere)


def on_files(files: Files, config: Any) -> Files:
    for name, text in (
        ("reference/cli.md", command_line()),
        ("reference/settings.md", "\n".join(settings())),
        ("figures.md", "\n".join(figures())),
    ):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_more: Any) -> str:
    return fill_in(markdown)


def command_line() -> str:
    """typer's own description of `solver.cli`."""
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "cli.md"
        command = [sys.executable, "-m", "typer", "solver.cli", "utils", "docs", "--name", "python -m solver"]
        subprocess.run([*command, "--output", str(page)], check=True, capture_output=True, cwd=PROJECT)
        return page.read_text("utf-8")


def settings() -> Iterator[str]:
    """Every setting of `solver.config` with its type, default and docstring."""
    from solver.config import SolverConfig

    yield "# Settings\n"
    yield "Any of these goes into a TOML file (`--config FILE`) or behind `--set`, as `--set sampling.top_p=0.9`."
    yield "`python -m solver config --resolved` prints what a run would use, and where each value comes from."
    yield from section(SolverConfig, "")


def section(model: type[BaseModel], prefix: str) -> Iterator[str]:
    documented = docstrings(model)
    inner = []
    yield f"\n## {prefix or 'top level'}\n"
    yield f"{(model.__doc__ or '').strip()}\n\n| setting | type | default | |\n| --- | --- | --- | --- |"
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner.append((field.annotation, f"{prefix}.{name}".strip(".")))
            continue
        kind = (
            str(getattr(field.annotation, "__name__", field.annotation))
            if isinstance(field.annotation, type)
            else str(field.annotation).replace("typing.", "")
        )
        said = " ".join(documented.get(name, "").split())
        yield (
            "| "
            + " | ".join(cell.replace("|", "\\|") for cell in (f"`{name}`", kind, repr(field.default), said))
            + " |"
        )
    for found, name in inner:
        yield from section(found, name)


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The strings that stand below the fields in the source."""
    import ast
    import inspect
    import textwrap

    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = str(ast.literal_eval(text.value))
    return found


def figures() -> Iterator[str]:
    """The benches' results as they stand in the repository."""
    yield "# Figures\n\nEach with the command, the commit and the machine that made it; `python -m bench` lists them.\n"
    results = sorted((PROJECT / "bench" / "results").glob("*.md"))
    yield "| | what is measured |\n| --- | --- |"
    for path in results:
        yield f"| [{path.stem}](#{path.stem}) | {measured(path.stem)} |"
    yield "\nWhat of this the rules of decision rest on, as pictures: [how it decides](decisions.md).\n"
    for path in results:
        text = re.sub(r"\]\(([\w-]+)\.md\)", r"](#\1)", path.read_text("utf-8"))  # to another result: on this very page
        yield text.replace("\n## ", "\n### ").replace("# ", "## ", 1) + "\n"


def measured(name: str) -> str:
    """The first sentence of a bench's docstring, without its goal."""
    import ast

    module = PROJECT / "bench" / f"{_BENCHES.get(name, name)}.py"
    if not module.is_file():
        return _RUNS[name]
    said = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
    return re.split(r"\.\s|:\s|; goal|\n\n", said + " ")[0].replace("\n", " ").rstrip(". ").replace("|", "\\|")
