"""What the contests' gateways agree on and where they differ (AIMO-2: kaggle_evaluation 0.3.0, AIMO-3: 0.9.0)."""

import json
import math
import os
from dataclasses import dataclass
from typing import Any

from solver.errors import UsageError, nearest

RERUN_VARIABLE = "KAGGLE_IS_COMPETITION_RERUN"
"""Set (to anything) in both containers of a scored run and nowhere else."""
OPTIONS_VARIABLE = "OLYMPIAD_REHEARSAL"
"""What a rehearsal sets otherwise, as JSON: "settings" (a list of a.b=c for the solver), "seed" (the solver's),
"expected_problems", "gateway" (fields of GatewayOptions), "fault" (see `submission.faults`), "without_model" (texts are
played), "kaggle" (a folder in place of /kaggle)."""


def rehearsal_options() -> dict[str, Any]:
    """Empty outside a rehearsal."""
    options = json.loads(os.environ.get(OPTIONS_VARIABLE) or "{}")
    return options if isinstance(options, dict) else {}


@dataclass(frozen=True, slots=True)
class Protocol:
    competition: str
    slug: str
    """Kaggle's name of the competition, and of its folder."""
    version: str
    module: str
    server_class: str
    text_column: str
    call_seconds: float
    """Deadline of each `predict` but the first, which has none."""
    session_seconds: float
    needs_id: bool
    """Whether a prediction must carry the id it was asked for; otherwise Kaggle writes its own over it."""
    startup_seconds: float = 900.0

    @property
    def has_gateway(self) -> bool:
        return bool(self.server_class)


PROTOCOLS = {
    protocol.competition: protocol
    for protocol in (
        # AIMO-1 had a compiled module and a loop in place of a gateway; see `submission.aimo1`.
        Protocol(
            "aimo-1",
            "ai-mathematical-olympiad-prize",
            "",
            "aimo",
            "",
            "problem",
            call_seconds=math.inf,
            session_seconds=9 * 3600.0,
            needs_id=True,
        ),
        Protocol(
            "aimo-2",
            "ai-mathematical-olympiad-progress-prize-2",
            "0.3.0",
            "aimo_2_inference_server",
            "AIMO2InferenceServer",
            "question",
            call_seconds=1800.0,
            session_seconds=5 * 3600.0,
            needs_id=True,
        ),
        Protocol(
            "aimo-3",
            "ai-mathematical-olympiad-progress-prize-3",
            "0.9.0",
            "aimo_3_inference_server",
            "AIMO3InferenceServer",
            "problem",
            call_seconds=32_400.0,
            session_seconds=5 * 3600.0,
            needs_id=False,
        ),
    )
}


def find_protocol(competition: str) -> Protocol:
    """Raises UsageError for a competition without a gateway."""
    if competition not in PROTOCOLS:
        raise UsageError(f"no gateway for the competition '{competition}': {nearest(competition, PROTOCOLS)}")
    return PROTOCOLS[competition]
