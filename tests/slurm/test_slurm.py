"""The workflow through real Slurm jobs: the same scores as on one machine, and failures that end well."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from cluster import wait_for

from gridlaw import record

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
LONG = GRID | {"gpus": [1], "pretrain": {"passes": 20000}, "checkpoint_minutes": 0.05}
RESULT = "results/pretrain/tiny/2k/{}/1/record.json"


def queue(fields="%i %T %k"):
    answer = subprocess.run(["squeue", "--noheader", "--format", fields], capture_output=True, text=True, timeout=60)
    return [line.split() for line in answer.stdout.splitlines()]


def running(rule):
    """Numbers of the running jobs of a rule."""
    return [number for number, state, name in queue() if state == "RUNNING" and name.startswith(f"rule_{rule}_")]


def start(workflow, folder, overlay, *arguments):
    """Start Snakemake, as one would type it."""
    (workflow.folder / "overlay.json").write_text(json.dumps(overlay))
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--directory", folder, *arguments]
    with open(workflow.folder / "said", "wb") as said:
        return subprocess.Popen(
            [*command, "--configfile", "overlay.json"],
            cwd=workflow.folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=said,
            stderr=said,
        )


def prepared(workflow, folder, overlay):
    """What trainings are made from, without the cluster."""
    done = workflow.snakemake("--cores", "2", "--directory", folder, "--until", "slice", overlay=overlay)
    assert done.returncode == 0, done.stderr


def pretrain(workflow, folder, overlay, *arguments, gpus=1):
    return start(workflow, folder, overlay, RESULT.format(gpus), *arguments)


def said(workflow):
    return (workflow.folder / "said").read_text()


def failed(workflow):
    return [line for line in said(workflow).splitlines() if line.startswith("failed: ")]


def end(process, workflow, seconds=240):
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"did not end:\n{said(workflow)[-5000:]}")


def test_the_same_scores_as_on_one_machine(slurm):
    process = start(slurm, "cluster", GRID)
    assert end(process, slurm, 420) == 0, said(slurm)[-8000:]
    done = slurm.snakemake("--cores", "2", "--directory", "here", overlay=GRID)
    assert done.returncode == 0, done.stderr
    columns = ["model", "size", "gpus", "task", "metric", "value"]
    cluster, here = (
        pd.read_csv(slurm.folder / folder / "results/scores.csv")[columns] for folder in ("cluster", "here")
    )
    pd.testing.assert_frame_equal(cluster, here, check_exact=True)
    for gpus in (1, 2):
        made = record.read_json(slurm.folder / "cluster" / RESULT.format(gpus))
        assert made["ranks"] == gpus
        assert made["attempts"][-1]["slurm_job"]
        model = RESULT.format(gpus).replace("record.json", "model/model.safetensors")
        assert record.sha256(slurm.folder / "cluster" / model) == record.sha256(slurm.folder / "here" / model)


def test_several_nodes(slurm):
    overlay = GRID | {"gpus": [1, 2], "gpus_per_node": 1}
    prepared(slurm, "nodes", overlay)
    process = pretrain(slurm, "nodes", overlay, gpus=2)
    nodes = wait_for(lambda: [one for one in queue("%D %b %T") if one[2] == "RUNNING"], "the job", lambda: said(slurm))
    assert end(process, slurm) == 0, said(slurm)[-8000:]
    assert nodes[0][:2] == ["2", "gres:gpu:1"]
    assert record.read_json(slurm.folder / "nodes" / RESULT.format(2))["ranks"] == 2


@pytest.mark.parametrize(
    ("site", "line"),
    [
        (
            {"gpu": {"partition": "gpus"}},
            "site: gpu.partition: gpus is no partition of this cluster; right would be one of",
        ),
        ({"gpu": {"partition": "gpu", "model": "a100"}}, "site: gpu.model: a100 is no GPU of partition gpu"),
        ({"gpu": {"partitions": "gpu"}}, "site: gpu.partitions: unknown key; right would be one of"),
    ],
)
def test_what_the_cluster_does_not_have_is_one_line_at_once(slurm, site, line):
    slurm.site(**site)
    assert end(start(slurm, "missing", GRID), slurm, 60) != 0
    assert sum(one.startswith("site: ") for one in said(slurm).splitlines()) == 1
    assert line in said(slurm)
    assert not queue()


def test_a_cancelled_job(slurm):
    prepared(slurm, "cancelled", LONG)
    process = pretrain(slurm, "cancelled", LONG, "--retries", "0")
    number = wait_for(lambda: running("pretrain"), "the job", lambda: said(slurm))[0]
    subprocess.run(["scancel", number], check=True, timeout=60)
    assert end(process, slurm, 120) == 1
    assert len(failed(slurm)) == 1, said(slurm)[-3000:]
    assert f"Slurm job {number}): cancelled" in failed(slurm)[0]
    assert not (slurm.folder / "cancelled" / RESULT.format(1)).exists()


def test_preemption_that_cancels(slurm):
    slurm.site(gpu={"partition": "scavenge", "cpus_per_gpu": 1})
    prepared(slurm, "preempted", LONG)
    process = pretrain(slurm, "preempted", LONG, "--retries", "0")
    wait_for(lambda: running("pretrain"), "the job", lambda: said(slurm))
    more_important = [
        "sbatch",
        "--partition=urgent",
        "--nodes=2",
        "--exclusive",
        "--output=/dev/null",
        "--wrap=sleep 1",
    ]
    subprocess.run(more_important, check=True, capture_output=True, timeout=60)
    assert end(process, slurm, 120) == 1
    assert "preempted" in failed(slurm)[0]


def test_a_dead_head(slurm):
    prepared(slurm, "dead", LONG)
    process = pretrain(slurm, "dead", LONG)
    number = wait_for(lambda: running("pretrain"), "the job", lambda: said(slurm))[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    (slurm.folder / "overlay.json").write_text(json.dumps(LONG))
    unlocked = slurm.snakemake("--directory", "dead", "--unlock", overlay=LONG)
    assert unlocked.returncode == 0, unlocked.stderr
    assert end(pretrain(slurm, "dead", LONG), slurm, 60) != 0
    assert f"Slurm jobs of an earlier run still work in this folder: {number}. Wait for them to end" in said(slurm)
    assert running("pretrain") == [number], "no second writer"


def test_too_little_memory(slurm):
    slurm.site(max_mem_mb=1000)
    overlay = GRID | {"gpus": [4], "exclude": [], "finetune": {"gpus": "all", "epochs": 1}}
    slurm.site(max_mem_mb=1000, gpu=None)
    prepared(slurm, "memory", overlay)
    assert end(pretrain(slurm, "memory", overlay, "--retries", "0", gpus=4), slurm, 180) == 1
    assert "memory: it used more than it had asked for" in failed(slurm)[0], said(slurm)[-3000:]
