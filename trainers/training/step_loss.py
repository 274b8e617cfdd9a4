"""The loss of a training step, as the methods of its config make it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainers.config import TrialConfig
from trainers.methods.adversaries import Criterion, attacked
from trainers.methods.distilling import adjoined_loss, distillation_loss
from trainers.methods.penalties import penalties
from trainers.methods.reparametrizing import full_logits
from trainers.methods.windows import windows
from trainers.networks.network import Network

Teach = Callable[[], Network]
"""Returns the trained network that teaches, in eval mode; called at most once."""


class StepLoss:
    """Computes the loss of each step of a training.

    Args:
        network: The network, with what is frozen, and before it is rounded or trained.
        config: Its methods.
        teach: Gives the network that teaches, on the device of `network`.

    Attributes:
        parameters: What penalties learn themselves.
        progress: Share of the epochs that are finished.

    Raises:
        ValueError: The config asks for distillation, and there is no teacher.
    """

    def __init__(self, network: Network, config: TrialConfig, teach: Teach | None) -> None:
        self._network, self._methods = network, config.methods
        self._penalties = penalties(config.methods, network.features, network.head)
        self.parameters = [each for of in self._penalties for each in of.parameters]
        self.progress = 0.0
        self._teach = teach
        self._teacher: Network | None = None
        if config.methods.distillation and teach is None:
            raise ValueError(
                "distillation needs the network that teaches: train with `TrialRun`, or give "
                "`FineTuning` a function `teach` that returns it."
            )

    def __call__(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, criterion: Criterion
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            model: The network, or its head alone on features.
            inputs: Pixels in [0, 1], or features.
            labels: As `criterion` takes them.
            criterion: The loss on labels.
        """
        methods = self._methods
        if methods.adversarial == "none":
            loss = self._on(model, inputs, labels, criterion)
        else:
            changed = attacked(model, inputs, labels, criterion, methods)
            loss = self._on(model, changed, labels, criterion)
            share = methods.adversarial_share
            if share < 1:
                clean = self._on(model, inputs, labels, criterion)
                loss = share * loss + (1 - share) * clean
        for penalty in self._penalties:
            loss = loss + penalty()
        return loss

    def tensors(self) -> dict[str, Tensor]:
        """Return what the methods learn themselves, by name, for a checkpoint."""
        return {f"method.{number}": each for number, each in enumerate(self.parameters)}

    def _on(
        self, model: nn.Module, inputs: Tensor, labels: Tensor, criterion: Criterion
    ) -> Tensor:
        """Compute the loss on the inputs as they are, without penalties."""
        methods = self._methods
        if methods.adjoined:
            is_head = model is self._network.head
            features = inputs if is_head else self._network.feature_vectors(inputs)
            full, logits = (of(features) for of in (self._full, self._network.head))
            loss = adjoined_loss(full, logits, criterion(full, labels), progress=self.progress)
        else:
            logits = self._logits(model, inputs)
            loss = criterion(logits, labels)
        if not methods.distillation:
            return loss
        return distillation_loss(
            logits,
            self._taught(model, inputs),
            loss,
            share=methods.distillation,
            temperature=methods.temperature,
        )

    def _logits(self, model: nn.Module, inputs: Tensor) -> Tensor:
        if self._methods.training_window == 1:
            logits: Tensor = model(inputs)
            return logits
        prepared = self._network.prepare(inputs)
        seen = self._network.vectors_of(windows(prepared, self._methods.training_window))
        head: Tensor = self._network.head(seen)
        return head

    def _full(self, features: Tensor) -> Tensor:
        return full_logits(self._network.head, features)

    def _taught(self, model: nn.Module, inputs: Tensor) -> Tensor:
        if self._teacher is None:
            assert self._teach is not None  # noqa: S101 - refused above
            self._teacher = self._teach()
        teacher = self._teacher
        with torch.no_grad():
            is_head = model is self._network.head
            taught: Tensor = teacher.head(inputs) if is_head else teacher(inputs)
        return taught
