"""One rank of a training job, for test_torchrun.py: reads through the Loader, writes down what it got, and goes on from the last state.

    torchrun --nproc-per-node=N torchrun_rank.py FOLDER RUN EPOCHS OPTIONS_OF_THE_LOADER
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: whoever kills torchrun kills its ranks at the same moment
if os.getppid() == 1:
    sys.exit("torchrun is gone already")

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402

import atlas_ds as atlas  # noqa: E402

STEP_SECONDS = 0.01
SAVE_EVERY = 4


def main() -> None:
    folder, run, epochs, options = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    log = os.open(folder / f"{run}-{dist.get_rank()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # what is written outlives the process

    def say(**what: object) -> None:
        os.write(log, (json.dumps(what) + "\n").encode())

    say(pid=os.getpid())
    loader = atlas.Loader(atlas.AtlasDataset(folder / "data"), rank="auto", world_size="auto", **options)
    state = folder / "state.json"
    if state.exists():
        loader.load_state_dict(json.loads(state.read_text()))

    def save() -> None:
        if dist.get_rank() == 0:
            say(saved=loader.state_dict())
            state.with_suffix(".tmp").write_text(json.dumps(loader.state_dict()))
            state.with_suffix(".tmp").replace(state)

    for epoch in range(loader.epoch, epochs):
        begun = -(-loader.state_dict()["position"] // options["global_batch_size"])  # steps; the last one of an epoch is not full
        for step, batch in enumerate(loader, begun):
            assert torch.equal(batch["twice"], 2 * batch["id"])
            say(epoch=epoch, step=step, rows=batch["id"].tolist())
            time.sleep(STEP_SECONDS)
            dist.all_reduce(torch.ones(1))  # as training does: no rank is a step ahead of another
            if (step + 1) % SAVE_EVERY == 0:
                save()
        save()  # after the loop: the next epoch is up
    say(end=True)
    dist.destroy_process_group()


main()
