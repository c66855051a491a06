"""The workflow through real Slurm jobs: the same scores as on one machine, and failures that end well.

Failures are tried side by side, each in a clone and on nodes of its own: most of their time is waiting for Slurm.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import hub
import pandas as pd
import psutil
import pytest
import world
import yaml
from cluster import Cluster, NotHere, wait_for
from conftest import Workflow

from gridlaw import io

pytestmark = pytest.mark.extended
SITE = {
    "account": "lab",
    "cpu": {"partition": "cpu", "cpus": 2},
    "gpu": {"partition": "gpu", "cpus_per_gpu": 1},
    "max_mem_mb": 4000,
}
GRID = {
    "models": ["tiny"],
    "sizes": ["2k"],
    "gpus": [1, 2],
    "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [],
    "data": {"held_out_words": 500},
    "finetune": {"epochs": 1},
    "catalogue": {
        "tokenizers": {"wordpiece": {"vocab_size": 600}},
        "corpora": {"toy": {"words": "8k"}},
        "tasks": {
            "sentiment": {"train_size": 40, "validation_size": 40},
            "similarity": {"train_size": 40, "validation_size": 40},
        },
    },
}
# A training that outlasts what is done to it.
LONG = GRID | {"pretrain": {"passes": 100000}, "checkpoint_minutes": 0.05}
# The part of the grid that also ran on one machine.
PART = world.GRID | {
    "models": ["alpha"],
    "sizes": ["2k"],
    "tasks": ["similarity", "mine"],
    "seeds": {"pretrain": [1], "finetune": [1, 2]},
    "exclude": [],
}
# What comes after these is made where Snakemake runs.
TABLES = "results/scores.csv"
# Longest time in seconds to wait for anything.
SECONDS = 900


class Clone:
    """A clone on the cluster, and Snakemake in it, with what pre-training is made from."""

    def __init__(self, cluster: Cluster, prepared: Path, folder: Path):
        self.cluster, self.folder = cluster, folder
        shutil.copytree(prepared, folder, symlinks=True)
        self.site()

    def site(self, **changes):
        """Write the site file, with what differs from `SITE`."""
        (self.folder / "profiles/slurm/site.yaml").write_text(yaml.safe_dump(SITE | changes))

    def start(self, *arguments, overlay=LONG, environment=None):
        """Start Snakemake, as one would type it."""
        (self.folder / "overlay.json").write_text(json.dumps(overlay))
        typed = ["snakemake", "--profile", "slurm", *arguments, "--configfile", "overlay.json"]
        # It must not go on without the tests, and ask the next cluster for jobs of this one. In the background of a shell,
        # where tests may run, Ctrl-C would be ignored.
        command = ["env", "--default-signal=INT", "setpriv", "--pdeathsig", "KILL", sys.executable, "-m", *typed]
        with open(self.folder / "said", "wb") as said:
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            environment = {**os.environ, "PATH": path, **(environment or {})}
            self.head = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=said, stderr=said)

    def pretrain(self, *arguments, gpus=1, overlay=LONG):
        self.record = self.folder / f"results/pretrain/tiny/2k/{gpus}/1/record.json"
        self.log = self.folder / f"logs/pretrain/tiny/2k/{gpus}/1.log"
        self.work = self.folder / f"work/pretrain/tiny/2k/{gpus}/1"
        self.start(str(self.record.relative_to(self.folder)), *arguments, overlay=overlay)

    def end(self):
        """Wait for Snakemake; its status."""
        wait_for(lambda: self.head.poll() is not None, "Snakemake to end", self.said, SECONDS)
        return self.head.returncode

    def said(self):
        return (self.folder / "said").read_text()

    def failed(self):
        """The line at the end of the one job that failed."""
        lines = [line for line in self.said().splitlines() if line.startswith("failed: ")]
        assert len(lines) == 1, self.said()
        return lines[0]

    def progress(self):
        """Return what `progress.py` prints about the folder."""
        command = [sys.executable, "scripts/progress.py", "--configfile", "overlay.json"]
        return subprocess.run(
            command, cwd=self.folder, check=True, capture_output=True, text=True, timeout=SECONDS
        ).stdout

    def jobs(self, fields="%i"):
        """Return what squeue prints about the clone's running jobs."""
        command = ["squeue", "--noheader", "--states=RUNNING", f"--format=%Z|{fields}"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        lines = [line.partition("|") for line in answer.splitlines()]
        return [what for folder, _, what in lines if folder == str(self.folder)]

    def training(self):
        """Wait until the training has a checkpoint; the number of its job."""

        def saved():
            return self.head.poll() is not None or (self.jobs() and list(self.work.glob("checkpoint-*")))

        wait_for(saved, "a checkpoint", self.said, SECONDS)
        assert self.head.poll() is None, self.said()
        # It goes on until Slurm ends it, and leaves the processors to others meanwhile.
        for process in psutil.process_iter():
            if _is_of(process, self.folder):
                process.nice(19)
        return self.jobs()[0]

    def is_told_to_save(self, number):
        """Move its time limit to where Slurm warns of it, with a minute left at least."""
        minutes = int(self.jobs("%M")[0].split(":")[-2])
        _slurm("scontrol", "update", f"JobId={number}", f"TimeLimit={minutes + 2}")

    def goes_on(self):
        """Wait for another attempt to go on from a checkpoint, and end it."""
        wait_for(lambda: "resuming from optimizer step" in _text(self.log), "another attempt", self.said, SECONDS)
        self.cancel()

    def cancel(self):
        self.head.send_signal(signal.SIGINT)
        assert self.end() != 0
        assert not self.record.exists()


def _text(file):
    return file.read_text() if file.exists() else ""


def _slurm(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _urgent(node):
    _slurm("sbatch", "--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")


def time_limit(clone):
    clone.pretrain("--retries", "1")
    number = clone.training()
    assert clone.jobs("%l") == ["10:00"]
    clone.is_told_to_save(number)
    wait_for(lambda: "SIGTERM after optimizer step" in _text(clone.log), "the training to save", clone.said, SECONDS)
    wait_for(lambda: clone.jobs("%l") == ["20:00"], "an attempt with more time", clone.said, SECONDS)
    clone.goes_on()


def time_up(clone):
    """Of a job of two nodes."""
    clone.pretrain("--retries", "0", gpus=2, overlay=LONG | {"gpus_per_node": 1})
    number = clone.training()
    clone.is_told_to_save(number)
    assert clone.end() == 1
    assert "time: it was told to save, and did" in clone.failed()


def killed_rank(clone):
    """The messages of torchrun and of the other rank come after it."""
    clone.pretrain("--retries", "0", gpus=2)
    clone.training()
    assert clone.jobs("%D") == ["1"]
    ranks = [process for process in psutil.process_iter() if _is_of(process, clone.folder, rank=True)]
    assert len(ranks) == 2
    ranks[-1].kill()
    assert clone.end() == 1
    assert "error: Signal 9 (SIGKILL) received" in clone.failed()


def _is_of(process, folder, rank=False):
    """Return whether a process is a training in a clone, or one of its ranks."""
    # Others come and go.
    with suppress(psutil.Error, OSError):
        training = process.name().startswith("python") and process.cwd() == str(folder)
        return training and (
            "RANK" in process.environ() if rank else str(folder / "scripts") in " ".join(process.cmdline())
        )


def memory(clone):
    clone.site(gpu=None, max_mem_mb=1000)
    clone.pretrain("--retries", "0", gpus=4, overlay=LONG | {"gpus": [4], "finetune": {"epochs": 1, "gpus": "all"}})
    assert clone.end() == 1
    assert "memory: it used more than it requested" in clone.failed()


def cancelled(clone):
    clone.pretrain("--retries", "0")
    number = clone.training()
    # The files of a training on another machine show its progress.
    wait_for(
        lambda: re.search(r"1 running.*\n +pretrain tiny 2k 1 1 +\d+ % .* tokens/s", clone.progress(), re.DOTALL),
        "progress",
        clone.progress,
        SECONDS,
    )
    _slurm("scancel", number)
    assert clone.end() == 1
    assert f"failed: pretrain tiny 2k 1 1 (attempt 1, Slurm job {number}): cancelled" in clone.failed()
    wait_for(lambda: "tokens/s" not in clone.progress(), "it to be seen as ended", clone.progress, SECONDS)


def preempted_and_cancelled(clone):
    clone.site(gpu={"partition": "cancelling", "cpus_per_gpu": 1})
    clone.pretrain("--retries", "0")
    clone.training()
    _urgent("n3")
    assert clone.end() == 1
    assert "preempted" in clone.failed()


def preempted_and_saved(clone):
    clone.site(gpu={"partition": "gracious", "cpus_per_gpu": 1})
    clone.pretrain("--retries", "0")
    clone.training()
    _urgent("n4")
    assert clone.end() == 1
    assert "preempted" in clone.failed()
    assert "SIGTERM after optimizer step" in _text(clone.log)


def preempted_and_requeued(clone):
    clone.site(gpu={"partition": "requeueing", "cpus_per_gpu": 1})
    clone.pretrain("--retries", "0")
    clone.training()
    _urgent("n5")
    clone.goes_on()


def lost_node(clone):
    clone.site(gpu={"partition": "shaky", "cpus_per_gpu": 1})
    clone.pretrain()
    clone.training()
    node = clone.jobs("%N")[0]
    clone.cluster.kill_node(node)
    clone.goes_on()
    clone.cluster.node(node)


def dead_head(clone):
    clone.pretrain()
    number = clone.training()
    clone.head.kill()
    clone.head.wait()
    clone.start("--unlock")
    assert clone.end() == 0, clone.said()
    clone.pretrain()
    assert clone.end() != 0
    assert f"Slurm jobs of an earlier run still work in this folder: {number}. Wait for them to end" in clone.said()
    assert clone.jobs() == [number], "no second writer"
    _slurm("scancel", number)


def full_disk(clone):
    results = clone.folder / "results"
    results.mkdir(exist_ok=True)
    _slurm("mount", "-t", "tmpfs", "-o", "size=100k", "none", str(results))
    try:
        clone.pretrain("--retries", "0", overlay=GRID)
        assert clone.end() == 1
        assert "disk: no space is left" in clone.failed()
        assert not clone.record.exists()
        _slurm("mount", "-o", "remount,size=100m", str(results))
        clone.pretrain("--retries", "0", overlay=GRID)
        assert clone.end() == 0, clone.said()
        assert clone.record.exists()
    finally:
        _slurm("umount", "--lazy", str(results))


def several_nodes(clone):
    clone.pretrain("--retries", "0", gpus=2, overlay=GRID | {"gpus_per_node": 1})
    seen = wait_for(lambda: clone.jobs("%D %b"), "the job", clone.said, SECONDS)
    assert seen == ["2 gres:gpu:1"]
    assert clone.end() == 0, clone.said() + _text(clone.log)
    assert io.read_json(clone.record)["ranks"] == 2


def whole_grid(clone):
    shutil.rmtree(clone.folder / "resources")
    world.write_data(clone.folder)
    clone.start(TABLES, overlay=PART)
    assert clone.end() == 0, clone.said()


def no_network(clone):
    """Programs of jobs run where nothing but a loopback of their own is; Slurm alone answers from without."""
    for name in ("squeue", "sinfo"):
        file = clone.folder / "answers" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec nsenter --net=/proc/{os.getpid()}/ns/net {shutil.which(name)} "$@"\n')
        file.chmod(0o755)
    offline = 'unshare --net sh -c \'ip link set lo up && exec python "$@"\' python "$@"'
    clone.site(
        gpu=None, before=f'python() {{ touch "offline-$SLURM_JOB_ID"; PATH="{clone.folder}/answers:$PATH" {offline}; }}'
    )
    hub.fill(clone.folder / "hub")
    with hub.serve(clone.folder / "hub") as address:
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(clone.folder / "home")}
        clone.start(TABLES, overlay=hub.GRID | {"gpus": [1, 2]}, environment=environment)
        assert clone.end() == 0, clone.said()
    assert pd.read_csv(clone.folder / "results/runs.csv")["held_out_loss"].notna().all()
    submitted = re.findall(r"submitted with SLURM jobid (\d+)", clone.said())
    assert {file.name for file in clone.folder.glob("offline-*")} == {f"offline-{number}" for number in submitted}


# Those that compute; that for which Slurm takes its time; and others that wait.
GRIDS = (whole_grid, no_network)
LONGEST = preempted_and_requeued
FAILURES = (
    time_limit, time_up, lost_node, full_disk, dead_head, memory, cancelled,
    preempted_and_cancelled, preempted_and_saved, several_nodes, killed_rank,
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    """The cluster; tests are skipped, with the reason, where it cannot be."""
    try:
        cluster = Cluster()
    except NotHere as reason:
        pytest.skip(f"no Slurm here: {reason}")
    with cluster:
        yield cluster


@pytest.fixture(scope="module")
def prepared(cluster, tmp_path_factory):
    """A clone in which what needs no training is made."""
    made = Workflow(tmp_path_factory.mktemp("prepared"))
    profile = made.folder / "profiles/slurm/profile.yaml"
    profile.write_text(profile.read_text().replace("before-status-checks: 20", "before-status-checks: 2"))
    done = made.snakemake("--cores", "2", "--until", "slice", overlay=GRID)
    assert done.returncode == 0, done.stderr
    return made.folder


@pytest.fixture(scope="module")
def trials(request, cluster, prepared, tmp_path_factory):
    """Start all selected trials side by side; each returns the folder of its clone."""
    asked = {item.callspec.params.get("trial") for item in request.session.items if hasattr(item, "callspec")}
    folder = tmp_path_factory.mktemp("trials")

    def attempt(trial):
        if trial in FAILURES:
            # Trainings that wait for a failure take the processors from grids.
            wait(begun[grid] for grid in GRIDS if grid in asked)
        clone = Clone(cluster, prepared, folder / trial.__name__)
        try:
            trial(clone)
            return clone.folder
        finally:
            if clone.jobs():
                _slurm("scancel", *clone.jobs())
            if clone.head.poll() is None:
                clone.head.kill()

    pool = ThreadPoolExecutor(5)
    begun = {}
    for trial in (*GRIDS, LONGEST, *FAILURES):
        if trial in asked:
            begun[trial] = pool.submit(attempt, trial)
    yield begun
    pool.shutdown(cancel_futures=True)


@pytest.mark.usefixtures("trials")
@pytest.mark.parametrize(
    ("site", "line"),
    [
        (
            {"gpu": {"partition": "gpus"}},
            "site: gpu.partition: this cluster has no partition gpus; expected one of",
        ),
        ({"gpu": {"partition": "gpu", "model": "a100"}}, "site: gpu.model: partition gpu has no GPU a100"),
        ({"gpu": {"partitions": "gpu"}}, "site: gpu.partitions: unknown key; expected one of"),
    ],
)
def test_what_the_cluster_does_not_have_is_one_line_at_once(cluster, prepared, tmp_path, site, line):
    clone = Clone(cluster, prepared, tmp_path / "clone")
    clone.site(**site)
    clone.start()
    assert clone.end() != 0
    said = [one for one in clone.said().splitlines() if one.startswith("site: ")]
    assert len(said) == 1
    assert line in said[0]
    assert "submitted" not in clone.said()


@pytest.mark.parametrize("trial", [*GRIDS, *FAILURES, LONGEST])
def test_ends_well(trials, trial):
    trials[trial].result()


@pytest.mark.parametrize("trial", [whole_grid])
def test_the_same_scores_as_on_one_machine(trials, trial, world_folder):
    there = trials[trial].result()
    keys = ["model", "size", "gpus", "pretrain_seed", "task", "train_examples", "finetune_seed", "metric"]
    tables = [
        pd.read_csv(folder / TABLES, dtype={"size": str}).set_index(keys)["value"] for folder in (there, world_folder)
    ]
    # The average over tasks is that of other tasks.
    slurm, machine = (table.drop("macro_average", level="metric") for table in tables)
    assert len(slurm) > 0
    pd.testing.assert_series_equal(slurm, machine.reindex(slurm.index), check_exact=True)
    for gpus in (1, 2):
        run = Path("results/pretrain/alpha/2k", str(gpus), "1")
        assert io.read_json(there / run / "record.json")["ranks"] == gpus
        digests = {io.sha256(folder / run / "model/model.safetensors") for folder in (there, world_folder)}
        assert len(digests) == 1
    jobs = {
        io.read_json(there / f"results/finetune/alpha/2k/1/1/{task}/record.json")["attempts"][-1]["slurm_job"]
        for task in PART["tasks"]
    }
    assert len(jobs) == 1, "the fine-tunings of a cell share a job"
