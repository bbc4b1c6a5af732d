"""Families of contest-style problems with integer answers; importing this package registers them all."""

from merge.miniature.families import arithmetic, arrangements, counting, dice, paths, shopping, solids, triangles, urns

__all__ = ["arithmetic", "arrangements", "counting", "dice", "paths", "shopping", "solids", "triangles", "urns"]
