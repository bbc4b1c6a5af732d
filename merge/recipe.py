"""Recipes: YAML that mergekit accepts as it stands, read into typed models so that mistakes are told before any work.

A parent is a folder or a hub id, `owner/name@revision`, with `+` and a LoRA adapter's folder where it has one. Paths
are relative to where the command runs, as mergekit takes them.

The arithmetic is float32 whatever a recipe says: `dtype` is the dtype of the output, unless `out_dtype` names one.
mergekit would round the differences of task_arithmetic and ties to `dtype` before adding them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from merge.errors import RecipeError
from solver.errors import nearest

Method = Literal["linear", "slerp", "ties", "dare_ties", "task_arithmetic", "model_stock", "karcher"]
METHODS: tuple[Method, ...] = ("linear", "slerp", "ties", "dare_ties", "task_arithmetic", "model_stock", "karcher")
Dtype = Literal["float32", "bfloat16", "float16"]
Scalar = float | int | bool
_LARGEST = 3e38
"""Of float32, about."""

_PER_MODEL = {
    "linear": {"weight"},
    "ties": {"weight", "density"},
    "dare_ties": {"weight", "density"},
    "task_arithmetic": {"weight"},
}
_SHARED = {
    "linear": {"normalize"},
    "slerp": {"t"},
    "ties": {"normalize", "rescale", "lambda", "int8_mask"},
    "dare_ties": {"normalize", "rescale", "lambda", "int8_mask"},
    "task_arithmetic": {"normalize", "lambda"},
    "model_stock": {"filter_wise"},
    "karcher": {"max_iter", "tol"},
}
NEEDS_BASE = ("slerp", "ties", "dare_ties", "task_arithmetic", "model_stock")
ACCUMULATES_IN_FLOAT32 = ("linear", "slerp")
"""Whatever dtype its inputs have: read in mergekit 0.1.5, merge_methods/linear.py and slerp.py."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filtered(_Part):
    """A value for the tensors whose name contains `filter`."""

    value: Scalar | list[Scalar]
    filter: str | None = None


Parameter = Scalar | list[Scalar] | list[Filtered] | Filtered


class RecipeModel(_Part):
    model: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)


class TokenizerChoice(_Part):
    """A parent's tokenizer, or the union of all. Without it, the parents' tokenizers must be equal."""

    source: str


class Recipe(_Part):
    merge_method: Method
    models: list[RecipeModel] = Field(min_length=1)
    base_model: str | None = None
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    dtype: Dtype | None = None
    out_dtype: Dtype | None = None
    tokenizer: TokenizerChoice | None = None
    chat_template: str | None = None

    @field_validator("merge_method", mode="before")
    @classmethod
    def _known_method(cls, value: Any) -> Any:
        if value not in METHODS:
            raise RecipeError(f"merge_method {value}: {nearest(str(value), METHODS)}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        method = self.merge_method
        if method in NEEDS_BASE and self.base_model is None:
            raise RecipeError(f"{method} needs a base_model")
        if method == "slerp" and len(set(self.parents)) != 2:
            raise RecipeError("slerp takes two models, one of which is the base_model")
        if method == "slerp" and "t" not in self.parameters:
            raise RecipeError("slerp needs parameters: {t: ...}, the way from base_model to the other")
        if method == "model_stock" and len(set(self.parents)) < 3:
            raise RecipeError("model_stock needs two models beside the base_model")
        if self.tokenizer and self.tokenizer.source not in ("union", "base", *self.parents):
            raise RecipeError(
                f"tokenizer source {self.tokenizer.source} is no parent of this recipe, nor union or base"
            )
        _check_names(method, "parameters", self.parameters, _SHARED[method] | _PER_MODEL.get(method, set()))
        _check_numbers("parameters", self.parameters)
        for model in self.models:
            _check_numbers(model.model, model.parameters)
            _check_names(method, model.model, model.parameters, _PER_MODEL.get(method, set()))
            if "weight" in _PER_MODEL.get(method, ()) and model.model != self.base_model and self.weight(model) is None:
                raise RecipeError(f"{method} needs parameters: {{weight: ...}} for {model.model}")
        self._check_sum()
        return self

    def _check_sum(self) -> None:
        """Raises RecipeError where linear would divide by weights that cancel: the other methods then do not divide."""
        weights = self.scalar_weights()
        if self.merge_method != "linear" or weights is None or not self.parameters.get("normalize", True):
            return
        if abs(sum(weights)) <= 1e-6 * sum(map(abs, weights)):
            hint = "give others, or set parameters: {normalize: false}"
            raise RecipeError(f"the weights sum to 0, and linear divides by their sum: {hint}")

    @property
    def parents(self) -> list[str]:
        """Every model named, each once, the base first."""
        names = [model.model for model in self.models]
        return list(dict.fromkeys([*([self.base_model] if self.base_model else []), *names]))

    def weight(self, model: RecipeModel) -> Parameter | None:
        return model.parameters.get("weight", self.parameters.get("weight"))

    def scalar_weights(self) -> list[float] | None:
        """One number for each model; None where the method has none or they differ from tensor to tensor."""
        weights = [self.weight(model) for model in self.models]
        return [float(w) for w in weights if isinstance(w, int | float)] if all(map(_is_number, weights)) else None

    def notes(self) -> list[str]:
        """What is allowed, but should be known."""
        weights = self.scalar_weights()
        if self.merge_method != "linear" or weights is None or abs(sum(weights) - 1) < 1e-6:
            return []
        total = sum(weights)
        if self.parameters.get("normalize", True):
            shares = " and ".join(f"{weight / total:.3g}" for weight in weights)
            return [f"the weights sum to {total:.6g}, not 1: mergekit divides by the sum, which gives {shares}"]
        return [f"the weights sum to {total:.6g}, not 1, and normalize is off: the merged weights are scaled by that"]

    def with_weight(self, weight: float) -> "Recipe":
        """For two models: the last gets `weight`, the other the rest; slerp gets it as t, counted from the base."""
        if self.merge_method == "slerp":
            return self.model_copy(update={"parameters": {**self.parameters, "t": weight}})
        models = [model for model in self.models if model.model != self.base_model or self.merge_method == "linear"]
        if len(models) != 2 or "weight" not in _PER_MODEL.get(self.merge_method, ()):
            raise RecipeError(f"a sweep needs two models with weights; {self.merge_method} of {len(models)} has none")
        shares = {models[0].model: round(1 - weight, 12), models[1].model: weight}
        changed = [
            model.model_copy(update={"parameters": {**model.parameters, "weight": shares[model.model]}})
            if model.model in shares
            else model
            for model in self.models
        ]
        return self.model_copy(update={"models": changed})

    def as_yaml(self) -> str:
        """YAML for mergekit."""
        return str(yaml.safe_dump(self.model_dump(exclude_none=True, exclude_defaults=True), sort_keys=False))


def load_recipe(path: Path) -> Recipe:
    """Raises RecipeError in one line."""
    try:
        return parse_recipe(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"the recipe {path} is not UTF-8 text") from None
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def parse_recipe(text: str) -> Recipe:
    """Raises RecipeError in one line."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise RecipeError("not a recipe: it needs merge_method and models")
    for key in ("slices", "modules"):
        if key in tree:
            raise RecipeError(f"'{key}' (layers from different models) is not done here: use 'models'")
    if source := tree.pop("tokenizer_source", None):
        tree["tokenizer"] = {"source": source}
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(_first_problem(error)) from None


_PARTS: dict[tuple[str, ...], type[_Part]] = {
    (): Recipe,
    ("models",): RecipeModel,
    ("tokenizer",): TokenizerChoice,
}
"""What stands under a key, for the names it could have."""


def _first_problem(error: ValidationError) -> str:
    """An unknown key before a missing one: it is that one misspelt."""
    problem = min(error.errors(), key=lambda it: it["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in problem["loc"])
    part = _PARTS.get(tuple(step for step in problem["loc"][:-1] if isinstance(step, str)))
    if problem["type"] == "extra_forbidden" and part is not None:
        return f"unknown key '{key}': {nearest(str(problem['loc'][-1]), part.model_fields)}"
    if problem["type"] == "missing":
        return f"no '{key}'"
    if "parameters" in problem["loc"]:
        of, _, name = ".".join(map(str, problem["loc"])).partition(".parameters.")
        name = name.partition(".")[0]
        return f"parameter {name} of {of} is no number, list of numbers or filter: {problem['input']!r}"
    return f"'{key}': {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _check_names(method: str, where: str, given: Sequence[str] | dict[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            hint = nearest(name, known) if known else f"{method} has none"
            raise RecipeError(f"unknown parameter '{name}' in {where}: {hint}")


def _check_numbers(where: str, parameters: Mapping[str, Parameter]) -> None:
    for name, value in parameters.items():
        for number in _numbers(value):
            if not abs(number) <= _LARGEST:
                raise RecipeError(f"{name} {number} in {where} is no finite number: every merged weight would be NaN")


def _numbers(value: Parameter | Scalar) -> Iterator[Scalar]:
    if isinstance(value, Filtered):
        yield from _numbers(value.value)
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part)
    else:
        yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
