"""Names of the files in the folder of a trial; importable without torch."""

CHECKPOINT_NAME = "checkpoint.safetensors"
"""The finished epochs of an unfinished trial; removed once its values are stored."""

ARTIFACT_NAME = "model.safetensors"
"""The packed network."""

STORAGE_NAME = "model.compressed"
"""The packed network in its smallest lossless form; its index names the coding of each tensor."""

PREDICTIONS_NAME = "predictions.npz"
"""The predictions of the packed network for the validation images."""
