"""The engine `tensorrt-llm` against a fake of its library that takes what the real one's public signatures take.

The signatures are data of one version, read from what the project publishes of its source (`data/tensorrt_llm.json`
names version, commit and pages, `tensorrt_llm_signatures` reads them). What a real TensorRT-LLM does with them was not
run here.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from solver.config import EngineConfig
from solver.engine import build_engine
from solver.engine.tensorrt_llm import TensorrtLlmEngine
from solver.engine.tensorrt_llm_build import BuildPlan, main
from solver.errors import EngineError, PromptTooLongError, TurnError
from solver.types import Completion, SamplingParams
from tests import tensorrt_llm_signatures

SIGNATURES = json.loads((Path(__file__).parent / "data" / "tensorrt_llm.json").read_text("utf-8"))
TEXT = "Let me compute. print(1)</tool_call> and so on "


def enforcing(name: str, parameters: Sequence[str], default: object) -> type:
    """A class that keeps its arguments, and takes only those of the signature. `default`: of each of its fields."""

    def __init__(self: Any, **arguments: Any) -> None:
        if unknown := set(arguments) - set(parameters):
            raise TypeError(f"{name} has no {', '.join(sorted(unknown))}")
        self.given = arguments

    fields = dict.fromkeys(parameters, SimpleNamespace(default=default))
    return type(name.rpartition(".")[2], (), {"__init__": __init__, "model_fields": fields})


class FakeResult:
    """Streams TEXT two bytes at a time, as `RequestOutput` does."""

    def __init__(self, params: dict[str, Any], failure: Exception | None) -> None:
        self._params, self._failure = params, failure
        self._sent: list[int] = []
        self.finished = False
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    async def __aiter__(self) -> AsyncIterator["FakeResult"]:
        tokens = list(TEXT.encode() * 20)[: self._params["max_tokens"]]
        for start in range(0, len(tokens), 2):
            await asyncio.sleep(0)
            if self._failure is not None:
                raise self._failure
            self._new = tokens[start : start + 2]
            self._sent += self._new
            self.finished = len(self._sent) == len(tokens)
            yield self

    @property
    def outputs(self) -> list[SimpleNamespace]:
        count = self._params.get("logprobs")
        tables = [{token: SimpleNamespace(logprob=-0.5, rank=1)} for token in self._new] if count else []
        output = {
            "token_ids": self._sent,
            "token_ids_diff": self._new,
            "finish_reason": "length" if self.finished else None,
            "logprobs": tables,
            "logprobs_diff": tables,
        }
        assert set(output) <= set(SIGNATURES["results"]["CompletionOutput"])
        return [SimpleNamespace(**output)]


class Library:
    """`tensorrt_llm` as modules, with every class of the signatures; `become` another version by what moved."""

    def __init__(self) -> None:
        self.version = SIGNATURES["version"]
        self.made: list[Any] = []
        self.results: list[FakeResult] = []
        self.failure: Exception | None = None
        self.modules = {name: ModuleType(name) for name in ("tensorrt_llm", "tensorrt_llm.llmapi")}
        self.modules["tensorrt_llm"].__version__ = self.version  # type: ignore[attr-defined]
        for name, entry in SIGNATURES["classes"].items():
            self.put(name, entry["parameters"], entry.get("methods", {}))
        self.request_error = type("RequestError", (RuntimeError,), {})
        self.modules["tensorrt_llm.llmapi"].RequestError = self.request_error  # type: ignore[attr-defined]

    def become(self, version: str) -> None:
        moved = SIGNATURES["moved"][version]
        self.version = version
        for name in moved["gone"]:
            self.remove(name)
        for name, parameters in moved["classes"].items():
            self.put(name, parameters, {})

    def put(self, name: str, parameters: Sequence[str], methods: dict[str, Any]) -> None:
        module, _, short = name.rpartition(".")
        made = enforcing(name, parameters, default=1 if self.version < "1.3" else None)
        if "generate_async" in methods:
            self._add_methods(made, methods)
        setattr(self.modules.setdefault(module, ModuleType(module)), short, made)

    def remove(self, name: str) -> None:
        module, _, short = name.rpartition(".")
        delattr(self.modules[module], short)

    def _add_methods(self, made: Any, methods: dict[str, Any]) -> None:
        library, taken = self, methods["generate_async"]

        def generate_async(llm: Any, inputs: list[int], sampling_params: Any, **options: Any) -> FakeResult:
            assert {"inputs", "sampling_params", *options} <= set(taken)
            assert options == {"streaming": True}
            result = FakeResult(sampling_params.given, library.failure)
            library.results.append(result)
            return result

        original = made.__init__

        def __init__(llm: Any, **arguments: Any) -> None:
            original(llm, **arguments)
            library.made.append(llm)

        made.__init__, made.generate_async, made.shutdown = __init__, generate_async, lambda llm: None


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    for name, module in library.modules.items():
        module.__spec__ = SimpleNamespace(name=name)  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)
    return library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from tests.test_openai_engine import write_byte_tokenizer

    write_byte_tokenizer(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [250, 251]}')
    return tmp_path


def play(folder: Path, *prompts: list[int], params: SamplingParams | None = None, **settings: Any) -> list[Any]:
    """Turns of one engine, one after another; a turn of one token is closed after its first completion."""

    async def main() -> list[Any]:
        engine = build_engine(EngineConfig(name="tensorrt-llm", max_model_len=300, **settings), folder)
        assert isinstance(engine, TensorrtLlmEngine)
        try:
            found: list[Any] = [await engine.start()]
            for prompt in prompts:
                stream = engine.generate(prompt, params or SamplingParams(max_tokens=9))
                async with aclosing(stream) as turn:
                    found.append([completion async for completion in turn])
            return found
        finally:
            await engine.close()
            await engine.close()

    return asyncio.run(main())


def tokens(completions: Sequence[Completion]) -> list[int]:
    return [token for completion in completions for token in completion.token_ids]


def test_every_argument_that_is_used_stands_in_the_signatures(library: Library, folder: Path) -> None:
    info, turn = play(folder, [1, 2, 3], kv_cache_dtype="fp8")
    assert (info.name, info.version, info.settings["flow"]) == ("tensorrt-llm", "1.2.1", "PyTorch backend")
    assert tokens(turn) == list(TEXT.encode()[:9])
    assert turn[-1].finish_reason == "length"
    given = library.made[0].given
    assert given["skip_tokenizer_init"] is True
    assert given["kv_cache_config"].given == {
        "enable_block_reuse": True,
        "free_gpu_memory_fraction": 0.92,
        "dtype": "fp8",
    }
    assert library.results[0]._params["stop_token_ids"] == [250, 251]
    assert not library.results[0].is_aborted


def test_a_stop_string_is_found_however_it_is_spelt_and_the_request_is_aborted(library: Library, folder: Path) -> None:
    params = SamplingParams(max_tokens=200, stop=("</tool_call>",))
    _, turn = play(folder, [1], params=params)
    assert bytes(tokens(turn)).decode() == TEXT[: TEXT.index("</tool_call>") + len("</tool_call>")]
    assert turn[-1].finish_reason == "stop"
    assert library.results[0].is_aborted


def test_closing_a_turn_aborts_its_request(library: Library, folder: Path) -> None:
    async def main() -> None:
        engine = build_engine(EngineConfig(name="tensorrt-llm", max_model_len=300), folder)
        await engine.start()
        async with aclosing(engine.generate([1], SamplingParams(max_tokens=100))) as turn:
            await anext(turn)
        assert library.results[0].is_aborted
        await engine.close()

    asyncio.run(main())


def test_log_probabilities_and_entropies_come_on_demand(library: Library, folder: Path) -> None:
    _, turn = play(folder, [1], params=SamplingParams(max_tokens=4, logprobs=1))
    assert [value for c in turn for value in c.logprobs] == [-0.5] * 4
    assert all(value > 0 for c in turn for value in c.entropies)


def test_a_prompt_longer_than_the_context_is_one_clear_error(library: Library, folder: Path) -> None:
    with pytest.raises(PromptTooLongError, match="the prompt has 300 tokens, the context 300"):
        play(folder, [1] * 300)


def test_a_dead_executor_is_one_line_with_the_setting_to_change(library: Library, folder: Path) -> None:
    library.failure = RuntimeError("executor died: CUDA out of memory\nmore")
    with pytest.raises(EngineError, match=r"^TensorRT-LLM stopped working: executor died: CUDA out of memory: lower "):
        play(folder, [1])


def test_a_request_that_fails_is_not_the_end_of_the_engine(library: Library, folder: Path) -> None:
    assert "RequestError" in SIGNATURES["results"]
    library.failure = library.request_error("the request was refused\nmore")
    with pytest.raises(TurnError, match=r"^TensorRT-LLM failed one turn: the request was refused$"):
        play(folder, [1])


@pytest.mark.parametrize(
    ("speculation", "made", "fields"),
    [
        ({"method": "eagle3", "model": "/head"}, "EagleDecodingConfig", {"speculative_model": "/head"}),
        ({"method": "mtp"}, "MTPDecodingConfig", {"num_nextn_predict_layers": 3}),
        ({"method": "ngram"}, "NGramDecodingConfig", {"max_draft_len": 3, "max_matching_ngram_size": 4}),
        ({"method": "draft_model", "model": "/d"}, "DraftTargetDecodingConfig", {"speculative_model": "/d"}),
    ],
)
def test_speculation_becomes_the_library_s_own_class(
    library: Library, folder: Path, speculation: dict[str, Any], made: str, fields: dict[str, Any]
) -> None:
    play(folder, speculation=speculation)
    drafting = library.made[0].given["speculative_config"]
    assert type(drafting).__name__ == made
    assert fields.items() <= drafting.given.items()


@pytest.mark.parametrize(
    ("version", "eagle", "mtp"),
    [
        ("1.1", {"max_draft_len": 3, "speculative_model_dir": "/head"}, {"num_nextn_predict_layers": 3}),
        ("1.3.0rc27", {"max_draft_len": 3, "speculative_model": "/head"}, {"max_draft_len": 3}),
    ],
)
def test_names_of_other_versions_are_found_too(
    library: Library, folder: Path, version: str, eagle: dict[str, Any], mtp: dict[str, Any]
) -> None:
    library.become(version)
    play(folder, kv_cache_dtype="fp8", speculation={"method": "eagle3", "model": "/head"})
    assert library.made[0].given["speculative_config"].given == eagle
    play(folder, speculation={"method": "mtp"})
    assert library.made[1].given["speculative_config"].given == mtp


def test_a_name_that_is_gone_is_one_clear_error(library: Library, folder: Path) -> None:
    library.remove("tensorrt_llm.llmapi.KvCacheConfig")
    with pytest.raises(EngineError, match=r"^TensorRT-LLM 1.2.1 has no tensorrt_llm.llmapi.KvCacheConfig: this engine"):
        play(folder)


def test_a_prebuilt_engine_needs_the_engine_flow(library: Library, folder: Path) -> None:
    (folder / "rank0.engine").touch()
    info, turn = play(folder, [1], kv_cache_dtype="fp8")
    assert info.settings["flow"] == "prebuilt engine"
    assert "dtype" not in library.made[0].given["kv_cache_config"].given  # it is asserted to be auto there
    assert len(tokens(turn)) == 9
    library.become("1.3.0rc27")
    with pytest.raises(EngineError, match=r"prebuilt engines need TensorRT-LLM 1.0 to 1.2: 1.3 has dropped them"):
        play(folder)


def test_weights_are_not_quantized_on_load(library: Library, folder: Path) -> None:
    with pytest.raises(EngineError, match="give a checkpoint of NVIDIA Model Optimizer"):
        play(folder, quantization="fp8")


def test_without_the_package_the_error_says_what_to_install(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"^the engine tensorrt-llm is not installed: .*pip install tensorrt-llm"):
        build_engine(EngineConfig(name="tensorrt-llm"), folder)


@pytest.mark.parametrize("drafter", [None, Path("/drafter")])
def test_build_steps_use_known_options_and_lead_into_each_other(drafter: Path | None) -> None:
    plan = BuildPlan(Path("/model"), Path("/out/engine"), Path("/trt/examples"), drafter)
    commands = plan.commands()
    assert len(commands) == (2 if drafter is None else 3)
    known = SIGNATURES["commands"] | {name: entry["options"] for name, entry in SIGNATURES["examples"].items()}
    for command in commands:
        name = next(name for name in known if any(word.endswith(name) for word in command))
        assert {word for word in command if word.startswith("--")} <= set(known[name])
    made = [command[command.index("--output_dir") + 1] for command in commands]
    assert all(before in command for before, command in zip(made, commands[1:], strict=False))
    assert made[-1] == "/out/engine"
    assert ("explicit_draft_tokens" in commands[-1]) == (drafter is not None)


def test_build_steps_are_printed_and_a_step_that_fails_ends_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tmp_path), "-o", str(tmp_path / "engine"), "--examples", str(tmp_path)]
    assert main(arguments) == 0
    assert "trtllm-build --checkpoint_dir" in capsys.readouterr().out
    assert main([*arguments, "--run"]) != 0
    assert "error: quantize.py ended with status 2" in capsys.readouterr().err


LISTING = """<span class="k">def</span> <span class="nf">generate_async</span><span class="p">(</span>
        <span class="bp">self</span><span class="p">,</span>
        inputs: PromptInputs,
        trace_headers: Optional[Mapping[str, str]] = None,
    <span class="p">)</span> <span class="o">-&gt;</span> RequestOutput:"""


def test_signatures_are_read_from_the_pages_of_a_version(tmp_path: Path) -> None:
    members = {
        **{
            f"tensorrt_llm.llmapi.{name}": [[0, 1, 1, "", "b"], [0, 1, 1, "", "a"], [0, 2, 1, "", "validate"]]
            for name in (*tensorrt_llm_signatures.CLASSES.values(), "RequestOutput", "CompletionOutput", "RequestError")
        },
        "tensorrt_llm.llmapi.SamplingParams": [[0, 3, 1, "", "seed"]],
        "tensorrt_llm.llmapi.LLM": [[0, 2, 1, "", "generate_async"], [0, 2, 1, "", "shutdown"]],
        "": [[0, 4, 1, "_CPPv4", "tensorrt_llm::executor"]],
    }
    kinds = {"1": "py:pydantic_field", "2": "py:method", "3": "py:attribute", "4": "cpp:class"}
    pages = {
        "searchindex.js": f"Search.setIndex({json.dumps({'objects': members, 'objtypes': kinds})})",
        "_modules/tensorrt_llm/llmapi/llm.html": LISTING,
        "commands/trtllm-build.html": "<kbd>--max_seq_len, --max_decoder_seq_len</kbd> TensorRT-LLM/tree/376f7e1",
    }
    folder = tmp_path / "1.2.1"
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    found = tensorrt_llm_signatures.read(folder)
    assert (found["version"], found["source"]["commit"]) == ("1.2.1", "376f7e1")
    assert found["classes"]["tensorrt_llm.llmapi.KvCacheConfig"] == {"parameters": ["a", "b"]}
    assert found["classes"]["tensorrt_llm.SamplingParams"] == {"parameters": ["seed"]}
    methods = found["classes"]["tensorrt_llm.LLM"]["methods"]
    assert methods == {"generate_async": ["inputs", "trace_headers"], "shutdown": []}
    assert found["commands"] == {"trtllm-build": ["--max_decoder_seq_len", "--max_seq_len"]}
