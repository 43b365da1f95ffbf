"""Start contestants: each in a fresh process; in the quick form as a fork of one process that has imported everything.

The quick form has one thread for each process: two threads on a busy machine wait for one another.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.rounds import Contestant


ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 600
LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the processes of a benchmark work."""

    work: Path
    small: bool
    threads: int | None = None
    """Threads of every process; None: torch's default, all cores."""

    def run(self, contestant: Contestant, number: int) -> dict[str, Any]:
        """Return what a contestant measured in a round, or `not_measured` with the reason; `number` names the run."""
        output = self.work / f"output-{number}.json"
        told = {"work": str(self.work), "small": self.small, "options": dict(contestant.options)}
        arguments = [contestant.run, json.dumps({**told, "output": str(output)})]
        environment = self.build_environment(contestant, number)
        start = _fork if self.small else _start
        words = start(contestant, arguments, environment, self.work / "log.txt")
        shutil.rmtree(self.work / "runs", ignore_errors=True)
        shutil.rmtree(self.work / "cold", ignore_errors=True)
        if not output.exists():
            return {"not_measured": f"the process failed: {words}"}
        return json.loads(output.read_text())

    def build_environment(self, contestant: Contestant, number: int) -> dict[str, str]:
        """Return the environment of a contestant: offline, its caches, and no GPU unless it is asked for."""
        environment = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
        environment.pop("OMP_NUM_THREADS", None)
        cache = self.work / ("cold" if contestant.cache == "cold" else "cache")
        environment |= {
            "BENCH_RUN": str(number),
            "HF_DATASETS_CACHE": str(cache / "datasets"),
            "HF_DATASETS_OFFLINE": "1",
            "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")]),
            "XDG_CACHE_HOME": str(cache),
        }
        if contestant.options.get("device") != "cuda":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        return environment


def _start(contestant: Contestant, arguments: list[str], environment: Mapping[str, str], log: Path) -> str:
    """Run a fresh process, or two by accelerate's launcher, and return its last words."""
    launcher = ["-m"]
    if contestant.processes > 1:
        config = str(ROOT / "accelerate_configs" / "cpu_multi.yaml")
        launcher = ["-m", "accelerate.commands.launch", "--config_file", config, "--main_process_port", "0", "-m"]
    command = [sys.executable, *launcher, "tests.bench.worker", *arguments]
    with log.open("w") as stream:
        try:
            subprocess.run(
                command, env=environment, cwd=ROOT, stdout=stream, stderr=stream, timeout=PATIENCE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it took more than {PATIENCE_SECONDS} s"
    return _read_last_line(log)


def _fork(contestant: Contestant, arguments: list[str], environment: Mapping[str, str], log: Path) -> str:
    """Run forks of this process, which has imported everything, and return the last words."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(contestant.processes):
        child = os.fork()
        if child == 0:
            os.environ.update(environment)
            if contestant.processes > 1:
                ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(contestant.processes)}
                os.environ.update({**ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
                os.environ["ACCELERATE_USE_CPU"] = "true"
            _work(arguments, log)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return _read_last_line(log)


def _work(arguments: list[str], log: Path) -> None:
    """Be a contestant inside a fork, and end without the parent's own ending."""
    from tests.bench.worker import main

    with log.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            main(arguments)
        except BaseException:
            traceback.print_exc(file=stream)
            stream.flush()
            os._exit(1)
    os._exit(0)


def import_everything() -> None:
    """Import what the contestants need, with one thread; their forks then start at once."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    import peft
    import torch
    import transformers

    from hf_tune.tasks import get_task, list_tasks
    from tests.bench import contest_pictures, contest_texts, recipe_runs

    for name in list_tasks():
        get_task(name)
    assert peft.LoraConfig and transformers.BertForSequenceClassification and transformers.AutoImageProcessor
    assert contest_pictures and contest_texts and recipe_runs
    torch.set_num_threads(1)


def _read_last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
