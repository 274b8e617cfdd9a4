"""What a trial leaves in its folder, by name; importable without torch."""

CHECKPOINT_NAME = "checkpoint.safetensors"
"""The finished epochs of a trial that is not over; removed once its values are stored."""

ARTIFACT_NAME = "model.safetensors"
"""The packed network."""

STORAGE_NAME = "model.compressed"
"""The packed network in its smallest lossless form; its index names the coding of each tensor."""

PREDICTIONS_NAME = "predictions.npz"
"""What the packed network answered on each validation image."""
