import importlib
import pkgutil
import sys
from pathlib import Path

SHARED = {"report", "vllm_server", "setting", "__main__"}


def main() -> None:
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name not in SHARED)
    chosen = sys.argv[1:2]
    if not chosen or chosen[0] not in names:
        sys.exit(f"usage: python -m bench NAME [OPTION...], where NAME is {', '.join(names)}")
    importlib.import_module(f"bench.{chosen[0]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
