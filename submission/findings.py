"""What the checks and the rehearsal report: one finding a mistake, with what Kaggle would have shown, and when."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["failure", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    message: str
    severity: Severity = "failure"

    @property
    def on_kaggle(self) -> str:
        return ON_KAGGLE.get(self.code, "")

    def line(self) -> str:
        return f"{self.severity} [{self.code}] {self.message}" + (
            f" (on Kaggle: {self.on_kaggle})" if self.on_kaggle else ""
        )


ON_KAGGLE = {
    "literal-path": "Notebook Threw Exception (FileNotFoundError) wherever the inputs are mounted in another layout",
    "source-missing": "Notebook Threw Exception (FileNotFoundError) in the first cells",
    "machine-shape": "a P100, the model out of memory, fallback answers: the run succeeds with a score near 0",
    "health": "nothing: the run succeeds with a score near 0",
    "fallbacks": "nothing: the run succeeds with a score near 0",
    "internet": "no submit button",
    "late-serve": "SERVER_NEVER_STARTED after 15 minutes",
    "load-before-serve": "SERVER_NEVER_STARTED, where loading takes longer than 15 minutes",
    "no-submission": "Submission file not found: no submit button after the commit run",
    "answer-shape": "an error after the last problem, with all answers lost, or at the first one (AIMO-2)",
    "answer-value": "Submission Scoring Error, or zero points",
    "server-raised": "SERVER_RAISED_EXCEPTION: the run ends at once, and only the message is shown",
    "no-answer": "Notebook Timeout, hours later: the first call has no deadline",
    "server-died": "SERVER_CONNECTION_FAILED within seconds",
    "missing-endpoint": "SERVER_MISSING_ENDPOINT at the first problem",
    "notebook-timeout": "Notebook Timeout: no score",
    "worker-thread": "SERVER_RAISED_EXCEPTION: predict runs in a worker thread",
    "wheels": "pip ends with 'from versions: none': Notebook Threw Exception",
    "network": "a time-out or gaierror: Notebook Threw Exception",
    "read-only": "Notebook Threw Exception: inputs are read-only",
    "working-size": "Notebook Exceeded Allowed Compute",
    "server-twice": "the notebook hangs, or ValueError: the server has already started",
    "runs-differ": "half a point instead of one for each problem whose two answers differ",
    "unknown-ids": "works in the commit run, fails in the scored one",
    "names": "409 Conflict at the next push, or an upload under another name",
    "owner": "the push is refused",
    "sub-folder": "the folder is left out of the upload, without a word",
    "top-level-files": "the dataset is refused: at most 50 files at the top level",
    "unpacked-archive": "Kaggle unpacks it; the file that the notebook opens is not there",
    "broad-except": "nothing: a dead model answers with the fallback, and the run succeeds with a score near 0",
    "metadata": "the push is refused, or the notebook runs without what it needs",
    "notebook-error": "Notebook Threw Exception",
    "gateway-error": "Kaggle Error",
    "manifest": "another bundle than the one that was rehearsed",
}


def first_failure(findings: Iterable[Finding]) -> Finding | None:
    return next((finding for finding in findings if finding.severity == "failure"), None)
