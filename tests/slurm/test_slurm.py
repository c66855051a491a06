"""What the site file names and the cluster does not have ends the workflow before any job, on a real Slurm."""

import subprocess

import pytest


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
    done = slurm.snakemake("--profile", "slurm", "--directory", "missing")
    assert done.returncode != 0
    said = [one for one in done.stderr.splitlines() if one.startswith("site: ")]
    assert len(said) == 1
    assert line in said[0]
    queue = subprocess.run(["squeue", "--noheader"], check=True, capture_output=True, text=True, timeout=60)
    assert not queue.stdout
