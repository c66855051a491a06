"""A real Slurm for these tests, and gridlaw as its users have it there."""

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
