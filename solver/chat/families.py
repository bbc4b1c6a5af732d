"""What is known of each model family, as data: prompts, markers, thinking, sampling, context, licence, and from where.

A family is chosen by name (`chat.family`), or recognised from a model folder (`solver.chat.recognise`); never by a
marker of its output: the same `<tool_call>` wraps Python for OpenMath, JSON for Qwen3 and XML for Nemotron 3.
`docs/families.md` is generated from this file (`python -m solver.chat.table > docs/families.md`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from solver.chat.family import Family, Inline, Sampling, Thinking, Turns
from solver.errors import UsageError, nearest

AUTO = "auto"
"""`chat.family`: the one recognised in the model's folder."""
_BOXED = "Please reason step by step, and put your final answer within \\boxed{}."

CHATML = Turns(
    system="<|im_start|>system\n{text}<|im_end|>\n",
    user="<|im_start|>user\n{text}<|im_end|>\n",
    assistant="<|im_start|>assistant\n",
    end="<|im_end|>",
    markers=("<|im_start|>", "<|im_end|>"),
    stops=("<|endoftext|>",),
)
LLAMA3 = Turns(
    start="<|begin_of_text|>",
    system="<|start_header_id|>system<|end_header_id|>\n\n{text}<|eot_id|>",
    user="<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>",
    assistant="<|start_header_id|>assistant<|end_header_id|>\n\n",
    end="<|eot_id|>",
    after_end="",
    markers=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    stops=("<|eom_id|>", "<|end_of_text|>"),
)
NEMOTRON_NANO_V2 = Turns(
    system="<SPECIAL_10>System\n{text}\n",
    user="<SPECIAL_11>User\n{text}\n",
    assistant="<SPECIAL_11>Assistant\n",
    end="<SPECIAL_12>",
    markers=("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>"),
)
DEEPSEEK = Turns(
    start="<｜begin▁of▁sentence｜>",
    system="{text}",
    user="<｜User｜>{text}",
    assistant="<｜Assistant｜>",
    end="<｜end▁of▁sentence｜>",
    after_end="",
    markers=("<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
)
HARMONY = Turns(
    system="<|start|>system<|message|>{text}<|end|>",
    user="<|start|>user<|message|>{text}<|end|>",
    assistant="<|start|>assistant",
    end="<|return|>",
    after_end="",
    markers=("<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|end|>", "<|return|>", "<|call|>"),
    stops=("<|call|>",),
)

_OPENMATH_SOURCE = (
    "NVIDIA/NeMo-Skills: docs/releases/openmathreasoning (training.md: an empty system turn), "
    "prompt/code_tags/openmath.yaml, prompt/config/openmath; arXiv 2504.16891"
)
_NVIDIA_BUDGET = ".\n</think>\n\n"
_QWEN_BUDGET = (
    "Considering the limited time by the user, I have to give the solution based on the thinking directly now."
    "\n</think>\n\n"
)
_QWEN3 = Sampling(0.6, 0.95, 20)

_FAMILIES = (
    Family(
        name="openmath",
        models="OpenMath-Nemotron 1.5B, 7B, 14B, 32B",
        turns=CHATML,
        systems={"cot": "", "tir": ""},
        prompts={"cot": "openmath-cot", "tir": "openmath-tir"},
        code="inline",
        inline=Inline(tells_calls_left=True),
        genselect_prompt="openmath-genselect",
        context=131_072,
        max_tokens=32_768,
        licence="CC-BY-4.0",
        source=_OPENMATH_SOURCE,
        notes="Calls Python inside its thinking; trained to choose among solutions (GenSelect). "
        "40 % of the 1.5B's attempts with Python are unfinished at 32k tokens.",
    ),
    Family(
        name="openmath-kaggle",
        models="OpenMath-Nemotron-14B-Kaggle, and own CoT/TIR merges like it",
        turns=CHATML,
        systems={"cot": "", "tir": ""},
        prompts={"cot": "openmath-cot", "tir": "openmath-cot"},
        code="inline",
        max_code_calls=6,
        context=131_072,
        max_tokens=32_768,
        licence="CC-BY-4.0",
        source=_OPENMATH_SOURCE,
        notes="One prompt for both modes: it cannot be switched by prompt, and was not told the calls left.",
    ),
    Family(
        name="nemotron-nano-v2",
        models="NVIDIA-Nemotron-Nano-9B-v2, 12B-v2",
        turns=NEMOTRON_NANO_V2,
        systems={"cot": "", "tir": ""},
        prompts={"cot": "openmath-cot", "tir": "openmath-cot"},
        code="toolcall",
        code_trained=False,
        thinking=Thinking("<think>\n", off_opening="<think></think>", budget_end=_NVIDIA_BUDGET),
        context=131_072,
        max_tokens=32_768,
        licence="NVIDIA Open Model License",
        source="model card (the chat template in it, sampling, ThinkingBudgetClient)",
        notes="`/think` and `/no_think` are switches of its chat template: the model sees the opening alone.",
    ),
    Family(
        name="nemotron-3-nano",
        models="NVIDIA-Nemotron-3-Nano-30B-A3B",
        turns=CHATML,
        systems={"cot": "", "tir": ""},
        prompts={"cot": "openmath-cot", "tir": "openmath-cot"},
        code="xml",
        code_trained=False,
        thinking=Thinking(
            "<think>\n", off_opening="<think></think>", history="<think></think>", budget_end=_NVIDIA_BUDGET
        ),
        sampling=Sampling(1.0, 1.0),
        context=262_144,
        max_tokens=131_072,
        licence="NVIDIA Open Model License",
        source="chat template as kept in ggml-org/llama.cpp; model card (sampling, budget)",
    ),
    Family(
        name="llama-nemotron-v1",
        models="Llama-3.1-Nemotron-Nano-8B-v1, Llama-3.3-Nemotron-Super-49B-v1, Ultra-253B-v1",
        turns=LLAMA3,
        systems={"cot": "detailed thinking on"},
        prompts={"cot": "step-by-step"},
        thinking=Thinking(off_system="detailed thinking off"),
        context=131_072,
        max_tokens=32_768,
        licence="NVIDIA Open Model License, Llama 3 Community License",
        source="NVIDIA NIM documentation, reasoning models; Llama 3 headers",
    ),
    Family(
        name="llama-nemotron-v1.5",
        models="Llama-3.3-Nemotron-Super-49B-v1.5",
        turns=LLAMA3,
        systems={"cot": "", "tir": ""},
        prompts={"cot": "step-by-step", "tir": "step-by-step"},
        code="toolcall-tool",
        code_trained=False,
        thinking=Thinking(off_opening="<think>\n\n</think>\n\n", off_system="\n\n"),
        context=131_072,
        max_tokens=65_536,
        licence="NVIDIA Open Model License, Llama 3 Community License",
        source="chat template as kept in ggml-org/llama.cpp; model card",
    ),
    Family(
        name="acereason",
        models="AceReason-Nemotron-1.1-7B",
        turns=CHATML,
        systems={"cot": "You are a helpful and harmless assistant. You should think step-by-step."},
        prompts={"cot": "acereason"},
        thinking=Thinking("<think>\n"),
        context=131_072,
        max_tokens=32_768,
        licence="NVIDIA Open Model License",
        source="model card, usage recommendations",
    ),
    Family(
        name="gpt-oss",
        models="gpt-oss-20b, gpt-oss-120b",
        turns=HARMONY,
        prompts={"cot": "step-by-step", "tir": "step-by-step"},
        code="harmony",
        effort="high",
        max_code_calls=100,
        sampling=Sampling(1.0, 1.0),
        context=131_072,
        max_tokens=120_000,
        licence="Apache-2.0",
        source="openai/harmony (the tests compare with its library, token for token); NVIDIA/NeMo-Skills, gpt-oss",
        notes="Effort is `Reasoning: low/medium/high`; Python is its built-in tool, called in the analysis channel. "
        "Its system text promises 120 s a call, as trained; `sandbox.timeout_seconds` is what a call gets.",
    ),
    Family(
        name="qwen3",
        models="Qwen3 0.6B to 235B-A22B (hybrid thinking)",
        turns=CHATML,
        prompts={"cot": "step-by-step", "tir": "step-by-step"},
        code="hermes",
        code_trained=False,
        thinking=Thinking(off_opening="<think>\n\n</think>\n\n", budget_end=_QWEN_BUDGET),
        sampling=_QWEN3,
        context=32_768,
        max_tokens=32_768,
        licence="Apache-2.0",
        source="Qwen/Qwen3 chat template as kept in ggml-org/llama.cpp; Qwen3 documentation (thinking budget)",
        notes="Never greedy. Its authors use 0.7/0.8 with thinking off; set that with effort `low`.",
    ),
    Family(
        name="qwen3-thinking",
        models="Qwen3-4B, 30B-A3B and 235B-A22B-Thinking-2507",
        turns=CHATML,
        prompts={"cot": "step-by-step", "tir": "step-by-step"},
        code="hermes",
        code_trained=False,
        thinking=Thinking("<think>\n", budget_end=_QWEN_BUDGET),
        sampling=_QWEN3,
        context=262_144,
        max_tokens=81_920,
        licence="Apache-2.0",
        source="model card; Qwen3 chat template with the opened thinking",
    ),
    Family(
        name="deepseek-r1-distill",
        models="DeepSeek-R1-Distill-Qwen 1.5B, 7B, 14B, 32B, -Llama 8B, 70B",
        turns=DEEPSEEK,
        prompts={"cot": "step-by-step"},
        thinking=Thinking("<think>\n"),
        context=131_072,
        max_tokens=32_768,
        licence="MIT (the Llama ones: Llama 3 Community License)",
        source="model card; chat template as kept in ggml-org/llama.cpp",
        notes="No system turn, as its authors advise.",
    ),
    Family(
        name="qwq",
        models="QwQ-32B",
        turns=CHATML,
        prompts={"cot": "step-by-step", "tir": "step-by-step"},
        code="hermes-qwq",
        code_trained=False,
        thinking=Thinking("<think>\n"),
        sampling=Sampling(0.6, 0.95, 40),
        context=131_072,
        max_tokens=32_768,
        licence="Apache-2.0",
        source="model card; chat template as kept in ggml-org/llama.cpp",
    ),
    Family(
        name="qwen2.5-math",
        models="Qwen2.5-Math 1.5B, 7B, 72B-Instruct",
        turns=CHATML,
        systems={
            "cot": _BOXED,
            "tir": "Please integrate natural language reasoning with programs to solve the problem above, "
            "and put your final answer within \\boxed{}.",
        },
        prompts={"cot": "bare-problem", "tir": "bare-problem"},
        code="inline",
        inline=Inline(begin="```python\n", end="```", stop="```output", result="\n{output}```\n"),
        sampling=Sampling(0.7, 0.8),
        context=4_096,
        max_tokens=3_072,
        licence="Apache-2.0 (72B: Qwen licence)",
        source="QwenLM/Qwen2.5-Math evaluation; NVIDIA/NeMo-Skills prompt/code_tags/qwen.yaml",
    ),
    Family(
        name="miniature",
        models="the embedded miniature (SmolLM2-135M-Instruct and what `python -m merge miniature` trains from it)",
        turns=CHATML,
        prompts={"cot": "miniature-cot", "tir": "miniature-tir"},
        code="inline",
        sampling=Sampling(0.7, 1.0, 0, 0.05),
        context=8_192,
        max_tokens=256,
        licence="Apache-2.0",
        source="trained here, with these prompts",
    ),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _FAMILIES})


def find_family(name: str) -> Family:
    """Raises UsageError, which names the nearest."""
    if name not in FAMILIES:
        raise UsageError(f"no model family '{name}': {nearest(name, FAMILIES)}")
    return FAMILIES[name]
