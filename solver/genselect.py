"""GenSelect: where a vote is split and time is left, the model compares solutions with different answers and chooses.

Source: arXiv 2504.16891, section 4 (2-16 candidates as summaries of at most 2,048 tokens each, several judgments with
shuffled order, voted); 2511.13027 (hybrid: GenSelect leaves a few, judgments of each alone decide). Three things are
done otherwise than in their code: a judgment that cannot be read counts for nobody (there: a random candidate), the
form `Judgment: [3]` is read too, and lengths are counted in tokens.

On a unanimous vote it could only lose, so it is never asked then. Any trouble leaves the majority's answer standing.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

from solver.answer import extract_answer
from solver.attempt import Tools, turn_seed
from solver.chat import read_prompt
from solver.config import GenSelectConfig
from solver.errors import PromptTooLongError, TurnError
from solver.types import Attempt, Candidate, Deadline, Problem, SamplingParams

_JUDGMENT = re.compile(r"Judgment: (?:(\d{1,4})|\[(\d{1,4})\])")
_MARGIN_TOKENS = 64  # of the context, for the chat's own markers


@dataclass(frozen=True, slots=True)
class Selection:
    """What GenSelect did: in the journal, whether it changed the answer or not."""

    problem_id: str
    majority: int
    answer: int
    """The chosen one; the majority's where no judgment could be read."""
    contenders: tuple[int, ...]
    """The answers compared, most votes first."""
    judgments: tuple[int | None, ...]
    """The answer each judgment chose; None where it could not be read."""
    num_tokens: int
    """Written by the model for all of this."""
    seconds: float

    @property
    def decided(self) -> bool:
        """Whether any judgment could be read."""
        return any(judgment is not None for judgment in self.judgments)


@dataclass(slots=True)
class _Contender:
    answer: int
    votes: int
    work: str
    """How the solution is shown: its summary, or the end of its trace."""


@dataclass(slots=True)
class _Record:
    judgments: list[int | None] = field(default_factory=list)
    num_tokens: int = 0


def is_worthwhile(
    candidates: Sequence[Candidate], attempts: Sequence[Attempt], seconds_left: float, config: GenSelectConfig
) -> bool:
    """Whether to ask: only for a split vote of which enough is known, while the budget has room."""
    votes = sum(candidate.votes for candidate in candidates)
    if not config.enabled or len(candidates) < 2 or seconds_left < config.min_seconds:
        return False
    readable = sum(any(a.index in c.attempts and a.text.strip() for a in attempts) for c in candidates)
    return readable >= 2 and candidates[0].votes <= config.max_leader_share * votes


def parse_judgment(text: str, num_solutions: int) -> int | None:
    """The index in the last line, `Judgment: 3` or `Judgment: [3]`; None for anything vaguer or out of range."""
    last = text.rstrip().rpartition("\n")[2].strip()
    match = _JUDGMENT.fullmatch(last)
    index = None if match is None else int(match[1] or match[2])
    return index if index is not None and index < num_solutions else None


async def select(
    problem: Problem, attempts: Sequence[Attempt], candidates: Sequence[Candidate], deadline: Deadline, tools: Tools
) -> Selection:
    """Let the model choose among `candidates`; ends by the deadline with what is known then.

    Raises:
        EngineError: the engine has failed.
    """
    return await _Comparison(problem, tools).run(attempts, candidates, deadline)


class _Comparison:
    def __init__(self, problem: Problem, tools: Tools) -> None:
        self._problem, self._tools, self._config = problem, tools, tools.config.genselect
        self._order = random.Random(turn_seed(tools.config.seed, problem.id, -1, 0))
        self._num_asked = 0
        self._record = _Record()

    async def run(self, attempts: Sequence[Attempt], candidates: Sequence[Candidate], deadline: Deadline) -> Selection:
        began = monotonic()
        contenders = self._contenders(attempts, candidates)
        winner: int | None = None
        try:
            async with asyncio.timeout(deadline.remaining()):
                if self._config.show == "summaries":
                    await self._summarize(contenders)
                winner = await self._tournament(contenders)
        except TimeoutError:
            winner = self._leader(contenders)
        return Selection(
            problem_id=self._problem.id,
            majority=candidates[0].answer,
            answer=candidates[0].answer if winner is None else winner,
            contenders=tuple(contender.answer for contender in contenders),
            judgments=tuple(self._record.judgments),
            num_tokens=self._record.num_tokens,
            seconds=monotonic() - began,
        )

    def _contenders(self, attempts: Sequence[Attempt], candidates: Sequence[Candidate]) -> list[_Contender]:
        """One solution for each answer, the shortest: the answers with most votes."""
        contenders = []
        for candidate in candidates[: self._config.max_candidates]:
            works = [a for a in attempts if a.index in candidate.attempts and a.text.strip()]
            if works:
                work = min(works, key=lambda attempt: attempt.num_tokens)
                contenders.append(_Contender(candidate.answer, candidate.votes, work.text))
        return contenders

    async def _summarize(self, contenders: Sequence[_Contender]) -> None:
        """Each work as its model writes it up, where that ends with the same answer; else the end of the work."""
        template = read_prompt("genselect-summary").replace("{problem}", self._problem.text)
        room = self._room(self._config.summary_tokens, template)
        questions = [template.replace("{work}", self._end_of(c.work, room)) for c in contenders]
        written = await self._ask_all(questions, self._config.summary_tokens)
        for contender, summary in zip(contenders, written, strict=True):
            kept = extract_answer(summary, self._tools.competition) == contender.answer
            contender.work = self._end_of(summary if kept else contender.work, self._config.summary_tokens)

    async def _tournament(self, contenders: Sequence[_Contender]) -> int | None:
        """Knockout in groups until one group is left; that one decides, or the judge does among those it leaves."""
        standing = list(contenders)
        while len(standing) > self._config.group_size:
            self._order.shuffle(standing)
            size = self._config.group_size
            groups = [standing[start : start + size] for start in range(0, len(standing), size)]
            results = [await self._compare(group) for group in groups]
            standing = [ranked[0] for ranked, _ in results]
        ranked, readable = await self._compare(standing)
        if self._config.judge_finalists and len(ranked) > 1:
            return await self._judge(ranked[: self._config.judge_finalists])
        return ranked[0].answer if readable else None

    async def _compare(self, group: Sequence[_Contender]) -> tuple[list[_Contender], bool]:
        """A group by the judgments it won, then by votes; and whether any judgment could be read."""
        if len(group) == 1:
            return list(group), True
        orders = []
        for _ in range(self._config.judgments):
            order = list(range(len(group)))
            self._order.shuffle(order)
            orders.append(order)
        texts = await self._ask_all([self._question(group, order) for order in orders], self._config.judgment_tokens)
        won: Counter[int] = Counter()
        for order, text in zip(orders, texts, strict=True):
            chosen = parse_judgment(text, len(group))
            self._record.judgments.append(None if chosen is None else group[order[chosen]].answer)
            if chosen is not None:
                won[order[chosen]] += 1
        places = sorted(range(len(group)), key=lambda place: (-won[place], -group[place].votes))
        return [group[place] for place in places], bool(won)

    async def _judge(self, finalists: Sequence[_Contender]) -> int | None:
        """The finalist whom most judgments of it alone call right; None where none could be read."""
        template = read_prompt("genselect-judge").replace("{problem}", self._problem.text)
        questions = [template.replace("{solution}", f.work) for f in finalists for _ in range(self._config.judgments)]
        texts = await self._ask_all(questions, self._config.judgment_tokens)
        scores = []
        for number, finalist in enumerate(finalists):
            said = [parse_judgment(t, 2) for t in texts[number * self._config.judgments :][: self._config.judgments]]
            read = [verdict for verdict in said if verdict is not None]
            self._record.judgments += [finalist.answer if verdict == 1 else None for verdict in said]
            scores.append((sum(read) / len(read) if read else -1.0, finalist.votes, finalist.answer))
        best = max(scores, key=lambda score: score[:2])
        return best[2] if best[0] >= 0 else None

    def _question(self, group: Sequence[_Contender], order: Sequence[int]) -> str:
        template = read_prompt(self._config.prompt or self._tools.chat.family.genselect_prompt or "genselect")
        template = template.replace("{num_solutions}", str(len(group))).replace("{max_idx}", str(len(group) - 1))
        template = template.replace("{problem}", self._problem.text)
        room = self._room(self._config.judgment_tokens, template) // len(group)
        shown = [f"Solution {n}:\n{self._end_of(group[place].work, room)}" for n, place in enumerate(order)]
        return template.replace("{solutions}", "\n\n".join(shown))

    def _leader(self, contenders: Sequence[_Contender]) -> int | None:
        """What the judgments so far say, when time ran out."""
        won = Counter(judgment for judgment in self._record.judgments if judgment is not None)
        ranked = sorted(contenders, key=lambda contender: (-won[contender.answer], -contender.votes))
        return ranked[0].answer if won else None

    def _room(self, answer_tokens: int, template: str) -> int:
        """Tokens of the context that are left for what is shown."""
        used = len(self._tools.tokenizer.encode(template)) + answer_tokens + _MARGIN_TOKENS
        return max(1, self._tools.max_model_len - used)

    def _end_of(self, text: str, max_tokens: int) -> str:
        """The end of a text, where its answer is; labels and markers cost a little more than they are counted."""
        tokens = self._tools.tokenizer.encode(text)
        keep = max(1, max_tokens - 8)
        return text if len(tokens) <= keep else self._tools.tokenizer.decode(tokens[-keep:])

    async def _ask_all(self, questions: Sequence[str], max_tokens: int) -> list[str]:
        tasks = [asyncio.create_task(self._ask(question, max_tokens)) for question in questions]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, question: str, max_tokens: int) -> str:
        """The model's final text; empty where the question does not fit its context or the turn failed."""
        chat = self._tools.chat
        self._num_asked += 1
        params = SamplingParams(
            max_tokens=max_tokens,
            **self._tools.config.sampling.model_dump(),
            seed=turn_seed(self._tools.config.seed, self._problem.id, -1, self._num_asked),
            stop_token_ids=chat.stop_token_ids,
        )
        tokens: list[int] = []
        try:
            async with aclosing(self._tools.engine.generate(chat.ask(question), params)) as completions:
                async for completion in completions:
                    tokens += completion.token_ids
                    self._record.num_tokens += len(completion.token_ids)
        except (PromptTooLongError, TurnError):
            return ""
        while tokens and tokens[-1] in chat.stop_token_ids:
            tokens.pop()
        return chat.final_text(tokens)
