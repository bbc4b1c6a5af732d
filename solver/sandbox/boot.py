"""The zygote's entry, run as a script. It imports the sandbox's child side without the package's own `__init__`, whose
imports (pydantic, asyncio's users) sessions must not hold."""

import sys
import types

if __name__ == "__main__":
    for name, path in (("solver", sys.argv[1]), ("solver.sandbox", f"{sys.argv[1]}/sandbox")):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package
    from solver.sandbox.zygote import main

    main(sys.argv[2])
