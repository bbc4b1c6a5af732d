"""Which family a folder is, and why. The folders are small: a config, a template that has a family's signs, and a
tokenizer with its markers."""

import json
from itertools import takewhile
from pathlib import Path

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from solver.chat import FAMILIES, build_chat, choose_family, load_tokenizer, recognise
from solver.chat.template import compare, describe_model, template_notes
from solver.config import ChatConfig, load_config
from solver.doctor import examine
from solver.errors import ModelError, UsageError

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\\n' }}"
)
SIGNS = {
    "gpt-oss": ("gpt_oss", "<|start|>assistant<|channel|>"),
    "nemotron-nano-v2": ("nemotron_h", "<SPECIAL_10>System"),
    "nemotron-3-nano": ("nemotron_h", "<|im_start|>system <function="),
    "llama-nemotron-v1.5": ("nemotron-nas", "<|start_header_id|>system /no_think"),
    "llama-nemotron-v1": ("llama", "<|start_header_id|>system detailed thinking on"),
    "deepseek-r1-distill": ("qwen2", "<｜User｜>x<｜Assistant｜><think>\\n"),
    "qwen3": ("qwen3_moe", "<|im_start|>assistant\\n enable_thinking"),
    "qwen3-thinking": ("qwen3", "<|im_start|>assistant\\n<think>\\n"),
    "qwq": ("qwen2", "<tool_call> <|im_start|>assistant\\n<think>\\n"),
    "acereason": ("qwen2", "<|im_start|>assistant\\n<think>\\n"),
    "qwen2.5-math": ("qwen2", "<|im_start|>system\\nPlease reason, put your final answer within \\\\boxed{}"),
    "miniature": ("llama", "<|im_start|>system\\nYou are a helpful AI assistant named SmolLM"),
}
NAMED = {
    "openmath": "OpenMath-Nemotron-1.5B",
    "openmath-kaggle": "OpenMath-Nemotron-14B-Kaggle",
    "acereason": "AceReason-Nemotron-1.1-7B",
    "miniature": "my-miniature",
}


def write_folder(folder: Path, model_type: str, template: str | None, markers: tuple[str, ...] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}), "utf-8")
    if template is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), "utf-8")
    alphabet = {character: number for number, character in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = FastTokenizer(BPE(alphabet, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens(list(markers))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("family", SIGNS)
def test_a_family_is_recognised_by_config_and_template(family: str, tmp_path: Path) -> None:
    found = recognise(write_folder(tmp_path / "model", *SIGNS[family]))
    assert found.family == family
    assert SIGNS[family][0] in found.reason


@pytest.mark.parametrize("family", NAMED)
def test_families_that_write_alike_are_told_apart_by_name(family: str, tmp_path: Path) -> None:
    assert recognise(write_folder(tmp_path / NAMED[family], "qwen2", CHATML)).family == family


def test_every_family_can_be_recognised() -> None:
    assert set(SIGNS) | set(NAMED) == set(FAMILIES)


def test_a_merge_of_openmath_models_is_recognised_by_its_recipe(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "merged", "qwen2", CHATML)
    recipe = "models:\n- model: nvidia/OpenMath-Nemotron-14B\nmerge_method: linear\n"
    (folder / "mergekit_config.yml").write_text(recipe, "utf-8")
    found = recognise(folder)
    assert found.family == "openmath-kaggle"
    assert "merge of OpenMath" in found.reason


def test_a_template_file_wins_over_the_tokenizers_config(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "qwen3", CHATML)
    (folder / "chat_template.jinja").write_text("<|im_start|>assistant\\n enable_thinking", "utf-8")
    assert recognise(folder).family == "qwen3"


def test_named_templates_are_read_too(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", "qwen3", None)
    named = [{"name": "tool_use", "template": ""}, {"name": "default", "template": "<|im_start|> enable_thinking"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}), "utf-8")
    assert recognise(folder).family == "qwen3"


@pytest.mark.parametrize(
    ("model_type", "template", "reason"),
    [
        ("qwen2", CHATML, "a ChatML template that several families share"),
        ("qwen2", None, "no chat template"),
        ("mistral", "[INST]", "a template like none of theirs"),
        ("qwen3", CHATML, "a template that never thinks"),
        ("llama", "<|start_header_id|>", "without a thinking switch"),
    ],
)
def test_an_unknown_family_is_told_with_what_was_seen(
    model_type: str, template: str | None, reason: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "model", model_type, template)
    with pytest.raises(ModelError, match="cannot tell the model family") as error:
        choose_family("auto", folder)
    assert reason in str(error.value)
    assert "name it with --set chat.family=NAME" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_explicit_choice_wins(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", *SIGNS["qwen3"])
    assert choose_family("openmath", folder).family == "openmath"
    assert "chat.family names it" in choose_family("openmath", folder).reason
    with pytest.raises(UsageError, match="did you mean 'openmath'"):
        choose_family("openmaht", folder)


def test_a_folder_whose_tokenizer_lacks_the_markers_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", *SIGNS["qwen3"], markers=("<|im_end|>",))
    with pytest.raises(ModelError, match=r"no token <\|im_start\|>: it is not of the family 'qwen3'"):
        build_chat(ChatConfig(), load_tokenizer(folder), folder)


def test_a_folder_without_tokenizer_or_config_says_which_file_is_missing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", *SIGNS["qwen3"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json in"):
        load_tokenizer(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"cannot read .*config\.json: No such file"):
        recognise(folder)
    (folder / "config.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="it is not JSON"):
        recognise(folder)


def test_a_folders_own_template_is_compared_with_ours(tmp_path: Path) -> None:
    markers = FAMILIES["openmath"].turns.markers
    folder = write_folder(tmp_path / "OpenMath-Nemotron-7B", "qwen2", CHATML, markers)
    config = ChatConfig()
    chat = build_chat(config, load_tokenizer(folder), folder)
    assert [it.agrees for it in compare(folder, chat, config)] == [True, True]
    assert describe_model(folder, config) == [
        "family openmath: model_type qwen2, a ChatML template that several families share; the name says openmath",
        "chat template: it writes the same prompts as we do",
    ]


def test_where_a_folders_template_differs_is_told(tmp_path: Path) -> None:
    markers = FAMILIES["openmath"].turns.markers
    folder = write_folder(tmp_path / "OpenMath-7B", "qwen2", CHATML.replace("assistant\\n", "assistant:\\n"), markers)
    lines = describe_model(folder, ChatConfig())
    assert "it differs from what we write; cot: ours" in lines[1]
    assert "assistant:" in lines[1]


def test_a_run_notes_a_template_that_differs_and_is_silent_about_one_that_agrees(tmp_path: Path) -> None:
    config, markers = ChatConfig(), FAMILIES["openmath"].turns.markers
    folder = write_folder(tmp_path / "OpenMath-7B", "qwen2", CHATML, markers)
    chat = build_chat(config, load_tokenizer(folder), folder)
    assert template_notes(folder, chat, config) == []
    write_folder(folder, "qwen2", CHATML.replace("assistant\\n", "assistant:\\n"), markers)
    assert "differs from family openmath; cot: ours" in template_notes(folder, chat, config)[0]
    write_folder(folder, "qwen2", "{{ raise_exception('no') }}", markers)
    assert "the model's chat template refuses: no" in template_notes(folder, chat, config)[0]


def test_a_template_that_fails_is_an_error_of_one_line(tmp_path: Path) -> None:
    markers = FAMILIES["openmath"].turns.markers
    for template in (CHATML + "{{ raise_exception('no') }}", CHATML + "{% if %}", CHATML + "{{ messages.x.y }}"):
        folder = write_folder(tmp_path / "OpenMath-7B", "qwen2", template, markers)
        with pytest.raises(ModelError, match="the model's chat template") as error:
            describe_model(folder, ChatConfig())
        assert "\n" not in str(error.value)


def test_doctor_says_which_family_and_why(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "OpenMath-Nemotron-7B", "qwen2", CHATML, FAMILIES["openmath"].turns.markers)
    told = doctor_on(folder)
    assert any("chat: family openmath: model_type qwen2" in line for line in told)
    assert any("chat: template: it writes the same prompts as we do" in line for line in told)
    told = doctor_on(write_folder(tmp_path / "other", "mistral", "[INST]"))
    assert any(line.startswith("problem") and "cannot tell the model family of" in line for line in told)


def doctor_on(folder: Path) -> list[str]:
    """The doctor's lines up to those about the model."""
    settings = {"engine.model": folder, "engine.name": "transformers"}
    lines = examine(load_config("auto", flags=settings))
    return [str(line) for line in takewhile(lambda line: line.name != "disk", lines)]
