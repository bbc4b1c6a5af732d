"""Recipes: what is accepted, what is refused in one line, and that mergekit would take each shipped one."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import merge
from merge.errors import RecipeError
from merge.recipe import Recipe, load_recipe, parse_recipe
from solver.chat.families import find_family
from solver.chat.template import render

RECIPES = sorted((Path(merge.__file__).parent / "recipes").glob("*.yml"))
LINEAR = (
    "merge_method: linear\nmodels:\n- model: a\n  parameters: {weight: 0.3}\n- model: b\n  parameters: {weight: 0.7}\n"
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_read(path: Path) -> None:
    recipe = load_recipe(path)
    assert len(recipe.parents) >= 2
    assert recipe.notes() == []
    assert parse_recipe(recipe.as_yaml()) == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("merge_method: liner\nmodels: []", "merge_method liner: did you mean 'linear'?"),
        ("models: []", "no 'merge_method'"),
        ("- a", "not a recipe"),
        ("a: [", "not YAML"),
        (LINEAR + "modells: []", "unknown key 'modells': did you mean 'models'?"),
        (LINEAR.replace("weight", "wieght", 1), "unknown parameter 'wieght' in a: did you mean 'weight'?"),
        (LINEAR.replace("{weight: 0.3}", "{}"), "linear needs parameters: {weight: ...} for a"),
        (LINEAR.replace("linear", "ties"), "ties needs a base_model"),
        (LINEAR.replace("linear", "slerp") + "base_model: c\nparameters: {t: 0.5}", "slerp takes two models"),
        ("merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]", "slerp needs parameters: {t: ...}"),
        ("merge_method: model_stock\nbase_model: a\nmodels: [{model: a}, {model: b}]", "model_stock needs two models"),
        (LINEAR + "tokenizer: {source: c}", "tokenizer source c is no parent"),
        (LINEAR + "dtype: float8", "'dtype'"),
        ("merge_method: linear\nslices: []", "'slices'"),
        (LINEAR.replace("0.3", "null"), "parameter weight of models.0 is no number, list of numbers or filter: None"),
        (LINEAR.replace("0.3", "'0,3'"), "parameter weight of models.0 is no number, list of numbers or filter: '0,3'"),
        (LINEAR.replace("merge_method", "merge_methd"), "unknown key 'merge_methd': did you mean 'merge_method'?"),
        (LINEAR.replace("model: b", "modle: b"), "unknown key 'models.1.modle': did you mean 'model'?"),
        (LINEAR.replace("0.3", ".nan"), "weight nan in a is no finite number"),
        (LINEAR.replace("0.7", "-.inf"), "weight -inf in b is no finite number"),
        (LINEAR.replace("0.7", "[0.1, .inf]"), "weight inf in b is no finite number"),
        (LINEAR.replace("0.7", "[{filter: mlp, value: .nan}, {value: 1}]"), "weight nan in b is no finite number"),
        (LINEAR.replace("0.7", "1" + 400 * "0"), "in b is no finite number"),
        (
            "merge_method: slerp\nbase_model: a\nparameters: {t: .nan}\nmodels: [{model: a}, {model: b}]",
            "t nan in parameters is no finite number",
        ),
        (
            LINEAR.replace("0.3", "0.5").replace("0.7", "-0.5"),
            "the weights sum to 0, and linear divides by their sum: give others, or set parameters: {normalize: false}",
        ),
        (LINEAR.replace("0.3", "0").replace("0.7", "0.0"), "the weights sum to 0"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_recipe(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_file_is_named_where_a_recipe_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("merge_method: liner", "utf-8")
    with pytest.raises(RecipeError, match=r"bad\.yml: merge_method liner"):
        load_recipe(tmp_path / "bad.yml")
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*none\.yml: No such file"):
        load_recipe(tmp_path / "none.yml")


def test_weights_that_do_not_sum_to_one_are_allowed_and_said() -> None:
    assert "sum to 0.9, not 1: mergekit divides by the sum" in parse_recipe(LINEAR.replace("0.7", "0.6")).notes()[0]
    unscaled = LINEAR.replace("0.7", "0.6") + "parameters: {normalize: false}"
    assert "the merged weights are scaled by that" in parse_recipe(unscaled).notes()[0]


def test_weights_that_cancel_are_allowed_where_nothing_divides_by_them() -> None:
    cancelling = LINEAR.replace("0.3", "0.5").replace("0.7", "-0.5")
    assert parse_recipe(cancelling + "parameters: {normalize: false}").scalar_weights() == [0.5, -0.5]
    difference = cancelling.replace("linear", "task_arithmetic") + "base_model: c\nparameters: {normalize: true}"
    assert parse_recipe(difference).scalar_weights() == [0.5, -0.5]


@given(st.floats(0, 1))
def test_a_sweep_gives_the_last_model_the_weight_and_the_first_the_rest(weight: float) -> None:
    swept = parse_recipe(LINEAR).with_weight(weight)
    weights = swept.scalar_weights()
    assert weights is not None
    assert weights[1] == weight
    assert sum(weights) == pytest.approx(1)


def test_a_sweep_of_slerp_moves_t_and_one_of_three_models_is_refused() -> None:
    slerp = parse_recipe("merge_method: slerp\nbase_model: a\nparameters: {t: 0}\nmodels: [{model: a}, {model: b}]")
    assert slerp.with_weight(0.25).parameters["t"] == 0.25
    three = yaml.safe_load(LINEAR)
    three["models"].append({"model": "c", "parameters": {"weight": 1}})
    with pytest.raises(RecipeError, match="a sweep needs two models with weights; linear of 3"):
        Recipe.model_validate(three).with_weight(0.5)


def test_tokenizer_source_is_the_old_name_of_tokenizer() -> None:
    recipe = parse_recipe(LINEAR + "tokenizer_source: union")
    assert recipe.tokenizer is not None
    assert recipe.tokenizer.source == "union"


def test_the_miniature_s_chat_template_writes_what_its_family_writes() -> None:
    recipe = load_recipe(Path(merge.__file__).parent / "recipes" / "miniature.yml")
    turns = find_family("miniature").turns
    written = render(recipe.chat_template or "", [{"role": "user", "content": "What is 6*7?"}])
    assert written == turns.user.format(text="What is 6*7?") + turns.assistant
