"""A real Slurm on one host: seven nodes with two GPUs each, which are character devices that nothing opens.

    python tests/slurm/cluster.py    # holds a cluster until Ctrl-C

Munge, MariaDB, slurmdbd, slurmctld and seven slurmd run from a folder of their own and end with it. Only /etc/slurm, where
Slurm's programs look without being told, holds links to its configuration meanwhile. What a cluster leaves whose process
is killed, the next one ends and removes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import filelock
import psutil

PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "munged", "mariadbd", "mariadb-install-db")
NODES = tuple(f"n{number}" for number in range(1, 8))
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "slurmdbd.conf", "gres.conf", "cgroup.conf")
MYSQL_PORT = 13306
# Folder of the cluster; there is only one, and its process holds the lock beside the folder.
FOLDER = Path(tempfile.gettempdir(), "gridlaw-slurm")
# Longest time in seconds to wait for anything.
SECONDS = 60

SLURM = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
ProctrackType={proctrack}
TaskPlugin={task}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams={memory}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
SlurmdTimeout=15
SlurmdParameters=config_overrides
GresTypes=gpu
MinJobAge=300
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
NodeName=n[1-7] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-17007] CPUs=8 Sockets=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=40000 Gres=gpu:2
PartitionName=cpu Nodes=n[1-2] Default=YES MaxTime=1-0 PriorityTier=1
PartitionName=gpu Nodes=n[1-2] MaxTime=1-0 PriorityTier=1
PartitionName=cancelling Nodes=n3 MaxTime=1-0 PriorityTier=1 PreemptMode=CANCEL
PartitionName=gracious Nodes=n4 MaxTime=1-0 PriorityTier=1 PreemptMode=CANCEL GraceTime=60
PartitionName=requeueing Nodes=n5 MaxTime=1-0 PriorityTier=1
PartitionName=urgent Nodes=n[3-5] MaxTime=1-0 PriorityTier=10
PartitionName=shaky Nodes=n[6-7] MaxTime=1-0 PriorityTier=1
"""
SLURMDBD = """
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
SlurmUser=root
PidFile={folder}/run/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
GRES = "".join(
    f"NodeName={node} Name=gpu File={{folder}}/dev/{node}/nvidia[0-1] Flags=nvidia_gpu_env\n" for node in NODES
)
CGROUP = """
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=yes
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
"""


class NotHere(Exception):
    """Why a cluster cannot be started on this machine."""


class Cluster:
    """The cluster; runs within a `with` block.

    Raises:
        NotHere: Slurm is not installed, may not be run, or runs already.
    """

    def __init__(self):
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        if missing:
            raise NotHere(f"not installed: {', '.join(missing)}")
        if os.getuid() != 0:
            raise NotHere("Slurm is started by root only")
        self._lock = filelock.FileLock(f"{FOLDER}.lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise NotHere("another test cluster is running") from None
        _clear()
        if any((ETC / name).exists() for name in FILES):
            raise NotHere(f"{ETC} has a configuration of its own")
        running = {process.name() for process in psutil.process_iter()} & {"munged", "slurmctld", "slurmd"}
        if running:
            raise NotHere(f"running already: {', '.join(sorted(running))}")
        self.cgroups = _has_cgroups()
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> Cluster:
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            _end(process)
        _clear()
        self._lock.release()

    def node(self, name: str) -> subprocess.Popen:
        """Start a node."""
        return self._daemon("slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Kill a node's slurmd and all that it runs, as a power cut would."""
        process = next(one for one in self._processes if one.args[-1] == name and one.poll() is None)
        process.kill()
        process.wait()
        _kill_steps(FOLDER / "spool" / name)

    def idle(self) -> bool:
        """Return whether all nodes are idle."""
        states = _answer("sinfo", "--noheader", "--Node", "--format", "%N %T").splitlines()
        return set(states) == {f"{node} idle" for node in NODES}

    def _configure(self) -> None:
        for name in ("run", "log", *(f"spool/{node}" for node in NODES), "state", "db", "etc"):
            (FOLDER / name).mkdir(parents=True)
        FOLDER.chmod(0o755)
        for node in NODES:
            (FOLDER / "dev" / node).mkdir(parents=True)
            for number, minor in enumerate((3, 5)):
                device = FOLDER / "dev" / node / f"nvidia{number}"
                try:
                    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, minor))
                except PermissionError:
                    raise NotHere("no devices can be made to stand for GPUs") from None
        values = {
            "folder": FOLDER,
            "host": socket.gethostname().partition(".")[0],
            "port": MYSQL_PORT,
            "proctrack": "proctrack/cgroup" if self.cgroups else "proctrack/linuxproc",
            "task": "task/cgroup" if self.cgroups else "task/none",
            "memory": "NoOverMemoryKill" if self.cgroups else "OverMemoryKill",
        }
        ETC.mkdir(exist_ok=True)
        for name, text in zip(FILES, (SLURM, SLURMDBD, GRES, CGROUP), strict=True):
            file = FOLDER / "etc" / name
            file.write_text(text.format(**values))
            file.chmod(0o600)
            (ETC / name).symlink_to(file)

    def _start(self) -> None:
        run = Path("/run/munge")
        run.mkdir(exist_ok=True)
        _give(run, "munge")
        self._daemon("munged", "--foreground", "--force", user="munge")
        wait_for((run / "munge.socket.2").exists, "munge")
        database = FOLDER / "db"
        _give(database, "mysql")
        socket_file = database / "socket"
        subprocess.run(
            ["mariadb-install-db", "--user=mysql", f"--datadir={database}", "--auth-root-authentication-method=socket"],
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        self._daemon(
            "mariadbd", "--no-defaults", f"--datadir={database}", f"--socket={socket_file}", f"--port={MYSQL_PORT}",
            "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900", user="mysql",
        )  # fmt: skip
        sql = "grant all on slurm_acct_db.* to slurm@'%' identified by 'slurm'; grant all on slurm_acct_db.* to"
        sql += " slurm@localhost identified by 'slurm'"
        wait_for(lambda: _succeeds("mariadb", "-uroot", "-S", str(socket_file), "-e", sql), "MariaDB")
        self._daemon("slurmdbd", "-D")
        wait_for(lambda: _succeeds("sacctmgr", "--noheader", "list", "cluster"), "slurmdbd")
        for words in (["cluster", "lab"], ["account", "lab"], ["user", "root", "account=lab"]):
            subprocess.run(["sacctmgr", "--immediate", "add", *words], check=True, capture_output=True, timeout=SECONDS)
        self._daemon("slurmctld", "-D", "-c")
        for node in NODES:
            self.node(node)
        wait_for(self.idle, "the nodes", lambda: _answer("sh", "-c", f"tail {FOLDER}/log/*"))

    def _daemon(self, *command: str, user: str = "root") -> subprocess.Popen:
        with open(FOLDER / "log" / f"{command[0]}.out", "ab") as log:
            process = subprocess.Popen(
                command,
                cwd=FOLDER,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=user,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


def wait_for(condition: Callable[[], object], what: str, otherwise: Callable[[], str] = str, seconds: float = SECONDS):
    """Wait until a condition holds.

    Returns:
        what it then gives.

    Raises:
        AssertionError: it did not in time.
    """
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"waited {seconds} s for {what}\n{otherwise()}"
        time.sleep(0.2)
    return found


def _answer(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False).stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode == 0


def _give(folder: Path, user: str) -> None:
    shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _clear() -> None:
    """End and remove what is left of a cluster."""
    daemons = [process for process in psutil.process_iter(["name", "cwd"]) if process.info["name"] in PROGRAMS]
    _kill([process for process in daemons if Path(process.info["cwd"] or "/").is_relative_to(FOLDER)])
    _kill_steps(FOLDER)
    for link in (ETC / name for name in FILES):
        if link.is_symlink() and (link.readlink().is_relative_to(FOLDER) or not link.exists()):
            link.unlink()
    shutil.rmtree(FOLDER, ignore_errors=True)


def _kill_steps(folder: Path) -> None:
    """Kill the daemons of job steps and what they run; each listens on a socket in the folder of its node."""
    processes = []
    for daemon in psutil.process_iter(["name"]):
        if daemon.info["name"] == "slurmstepd" and f"{folder}/" in _open_sockets(daemon):
            with suppress(psutil.NoSuchProcess):
                processes += [*daemon.children(recursive=True), daemon]
    _kill(processes)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    # Whether they have a parent that looks after them does not matter.
    psutil.wait_procs(processes, timeout=3)


def _open_sockets(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return " ".join(connection.laddr for connection in process.net_connections("unix") if connection.laddr)
    return ""


def _has_cgroups() -> bool:
    """Return whether Slurm can track jobs by cgroups (version 1) on this machine; otherwise it watches processes."""
    folders = [Path("/sys/fs/cgroup", name) for name in ("memory", "freezer")]
    return all(folder.is_mount() and os.access(folder, os.W_OK) for folder in folders)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Cluster() as cluster, suppress(KeyboardInterrupt):
        print(_answer("sinfo", "-N", "-o", "%N %P %t %c %m %G"), FOLDER, flush=True)
        signal.pause()
