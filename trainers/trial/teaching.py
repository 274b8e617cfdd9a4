"""The network that teaches a trial: the sweep's reference, trained once for all with its seed."""

import torch

from trainers.config import TrialConfig, teacher_of
from trainers.data import ImageData
from trainers.errors import DivergedError
from trainers.networks.network import Network
from trainers.stages.cache import StageCache
from trainers.training.devices import forked
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key, run_epoch


def taught(
    config: TrialConfig, data: ImageData, *, device: torch.device, cache: StageCache | None
) -> Network:
    """Return the trained network that teaches, in eval mode; frozen.

    It comes from the cache where a trial, the reference or another one with the same seed, has
    trained it; else it is trained now, to the same last bit, and put there. Without a cache every
    trial trains it anew.

    Args:
        config: Config of the trial that is taught.
        data: Its images.
        device: Where it computes.
        cache: Cache that is shared with other trials.

    Raises:
        DivergedError: Its training diverged.
    """
    # The teacher is no trial, so that no milestone is passed over.
    cache = cache and cache.giving_trainings()
    with torch.random.fork_rng(devices=forked(device)):
        training = FineTuning(teacher_of(config), data, device=device, cache=cache)
        while not training.finished:
            # As `TrialRun` trains, so that it is the reference to the same last bit.
            if fuse_key(training) is None:
                training.run_epoch()
                continue
            (result,) = run_epoch([training])
            if isinstance(result, DivergedError):
                raise result
        training.keep()
        training.finish()
    network = training.network.eval()
    return network.requires_grad_(requires_grad=False)
