"""Where a turn ends, for engines that leave it to us. One instance for each request."""

from collections.abc import Sequence
from dataclasses import replace

from solver.chat.base import Tokenizer
from solver.types import Completion, FinishReason, SamplingParams


class StopChecker:
    """Fed every sampled token in turn; says whether the turn ends with it.

    A stop string is found however its characters are spread over tokens; only as many characters are kept as the
    longest stop string needs, so a turn costs linear time.
    """

    def __init__(self, params: SamplingParams, tokenizer: Tokenizer, eos_token_ids: Sequence[int] = ()) -> None:
        self._stop_token_ids = {*params.stop_token_ids, *(() if params.ignore_eos else eos_token_ids)}
        self._stop = params.stop
        self._tokens_left = params.max_tokens
        self._stream = tokenizer.stream() if params.stop else None
        self._keep = max((len(stop) for stop in params.stop), default=0) - 1
        self._tail = ""

    def feed(self, token_id: int) -> FinishReason | None:
        self._tokens_left -= 1
        if token_id in self._stop_token_ids:
            return "stop"
        if self._stream is not None:
            text = self._tail + self._stream.feed([token_id])
            if any(stop in text for stop in self._stop):
                return "stop"
            self._tail = text[-self._keep :] if self._keep else ""
        return "length" if self._tokens_left <= 0 else None


def until_stop(completion: Completion, stops: StopChecker) -> Completion:
    """The completion up to and with the token that ends the turn, where it holds one."""
    for length, token in enumerate(completion.token_ids, start=1):
        finish = stops.feed(token)
        if finish is not None:
            return replace(
                completion,
                token_ids=completion.token_ids[:length],
                logprobs=completion.logprobs and completion.logprobs[:length],
                entropies=completion.entropies and completion.entropies[:length],
                finish_reason=finish,
            )
    return completion
