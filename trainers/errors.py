"""What can go wrong inside one trial, as classes that a caller may want to tell apart."""


class TrainerError(Exception):
    """Base of everything that this package raises on purpose; its text is a full sentence."""


class DataError(TrainerError):
    """A data set is missing, broken or too small; the text names the file or the class."""


class WeightsError(TrainerError):
    """Weights are missing, broken or of another architecture; the text names the tensors."""


class ArtifactError(TrainerError):
    """A packed network is broken, or does not fit what it says about itself."""


class DivergedError(TrainerError):
    """Training met a loss that is NaN or infinite.

    Attributes:
        epoch: The epoch (from 1) in which it happened.
        loss: The loss that was met.
    """

    def __init__(self, epoch: int, loss: float) -> None:
        super().__init__(
            f"Training diverged in epoch {epoch}: the loss became {loss}. "
            f"Lower the learning rate, or warm it up for longer."
        )
        self.epoch = epoch
        self.loss = loss

    def __reduce__(self) -> tuple[type["DivergedError"], tuple[int, float]]:
        # An exception is rebuilt from `args`, which hold the sentence and not the two numbers.
        return type(self), (self.epoch, self.loss)
