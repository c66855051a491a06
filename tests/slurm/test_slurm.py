"""What the site file names and the cluster does not have ends the workflow before any job, on a real Slurm."""

import subprocess

import pytest
import yaml
from cluster import Cluster, NotHere

SITE = {
    "account": "lab",
    "cpu": {"partition": "cpu", "cpus": 2},
    "gpu": {"partition": "gpu", "cpus_per_gpu": 1},
    "max_mem_mb": 9000,
}


@pytest.fixture(scope="session")
def cluster():
    """The cluster; tests are skipped, with the reason, where it cannot be."""
    try:
        cluster = Cluster()
    except NotHere as reason:
        pytest.skip(f"no Slurm here: {reason}")
    with cluster:
        yield cluster


@pytest.fixture
def slurm(cluster, workflow):
    """A clone on an idle cluster; `site` writes its site file with what differs from this cluster's own."""
    cluster.empty()
    profile = workflow.folder / "profiles/slurm/profile.yaml"
    profile.write_text(profile.read_text().replace("before-status-checks: 20", "before-status-checks: 2"))

    def site(**changes):
        (workflow.folder / "profiles/slurm/site.yaml").write_text(yaml.safe_dump(SITE | changes))

    workflow.site = site
    site()
    yield workflow
    cluster.empty()


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
