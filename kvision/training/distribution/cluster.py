"""What a worker knows of the others: TF_CONFIG, which TensorFlow reads, too.

    {"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}

The addresses of all workers, the same in each, and which of them this one is. The first is the chief; a cluster may
also name it by itself: `"chief": ["first:2222"]`. `worker.sh` starts one worker, of WORKERS and INDEX:

    export TF_CONFIG='{"cluster": {"worker": ['$WORKERS']}, "task": {"type": "worker", "index": '$INDEX'}}'
    exec kvision train --data=/shared/photos --run=/shared/run  # or python train.py

On Kubernetes an Indexed Job named `train` runs this for 8 workers, with `subdomain: train` and a headless service of
that name, which publishes addresses of pods that are not ready yet. `restartPolicy: OnFailure` starts workers again.
In a StatefulSet, whose workers are started again even when they are done, INDEX is `${HOSTNAME##*-}`.

    export WORKERS=$(seq -f '"train-%g.train:2222"' -s , 0 7)
    export INDEX=$JOB_COMPLETION_INDEX
    source worker.sh

Slurm runs this with one task on each node; `#SBATCH --requeue` starts the job again:

    export WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd ,)
    srun --ntasks-per-node=1 --kill-on-bad-exit bash -c 'INDEX=$SLURM_PROCID; source worker.sh'
"""

import json
import os
import re
from typing import NamedTuple

EXAMPLE = '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'


class Cluster(NamedTuple):
    """All workers, the chief first, and which of them this process is.

    Args:
        tasks: job and number of each, as TensorFlow's messages name it.
        addresses: host:port of each; none if this process is alone.
        index: of this process.
    """

    tasks: tuple[tuple[str, int], ...] = ()
    addresses: tuple[str, ...] = ()
    index: int = 0

    @classmethod
    def from_environment(cls) -> "Cluster":
        """The cluster of TF_CONFIG, or this process alone.

        Raises:
            ValueError: TF_CONFIG is not what it should be.
        """
        text = os.environ.get("TF_CONFIG") or "{}"
        try:
            config = json.loads(text)
            jobs = config.get("cluster") or {}
            if not jobs:
                return cls()
            if jobs.keys() - {"chief", "worker"} or len(jobs.get("chief", ())) > 1:
                raise ValueError("a cluster has workers, and at most one chief")
            places = {(job, i): address for job in sorted(jobs) for i, address in enumerate(jobs[job])}
            if len(set(places.values())) < len(places) or not all(re.search(r".:\d+$", x) for x in places.values()):
                raise ValueError("every worker has an address of its own, with a port")
            task = config["task"]["type"], int(config["task"]["index"])
            return cls(tuple(places), tuple(places.values()), list(places).index(task))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"TF_CONFIG is JSON such as {EXAMPLE}. Received: {text} ({error!r})") from error

    def worker(self, index: int) -> str:
        """A worker as people know it."""
        return f"worker {index} of {len(self.tasks)} ({self.addresses[index]})"

    def lost(self, message: str) -> int:
        """The worker that an error of TensorFlow is about: the last other one that it names, or else the chief."""
        named = [(job, int(number)) for job, number in re.findall(r"/job:(\w+)(?:/replica:0)?/task:(\d+)", message)]
        others = [self.tasks.index(task) for task in named if task in self.tasks and task != self.tasks[self.index]]
        return others[-1] if others else 0


def is_chief() -> bool:
    """Whether this process writes the files: the first worker, or the only one. Costs nothing, and needs no strategy.

    Raises:
        ValueError: TF_CONFIG is not what it should be.
    """
    return Cluster.from_environment().index == 0
