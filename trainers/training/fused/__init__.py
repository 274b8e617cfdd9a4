"""Many heads on the features of one frozen backbone, trained together in one process."""

from trainers.training.fused.epoch import fusable, fuse_key, run_epoch

__all__ = ["fusable", "fuse_key", "run_epoch"]
