"""How tokens are sampled. Each engine is one file, imported only when it is chosen."""

from solver.engine.base import Engine, build_engine, engine_name, require_engine

__all__ = ["Engine", "build_engine", "engine_name", "require_engine"]
