"""Losses from another network: their gradients are those of the papers' cross-entropy."""

import pytest
import torch
from torch.nn import functional

from trainers.methods.distilling import adjoined_loss, distillation_loss


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_gradient_is_that_of_the_cross_entropy_with_softened_targets(
    share: float, temperature: float
) -> None:
    """Hinton et al. 2015, equation 2: (softmax(z / T) - softmax(v / T)) / T, times T^2."""
    torch.manual_seed(0)
    logits, taught = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 0, 1])
    loss = functional.cross_entropy(logits, labels)
    mixed = distillation_loss(logits, taught, loss, share=share, temperature=temperature)
    (found,) = torch.autograd.grad(mixed, logits)
    soft = (logits / temperature).softmax(1) - (taught / temperature).softmax(1)
    hard = logits.softmax(1) - functional.one_hot(labels, 3)
    expected = (share * temperature * soft + (1 - share) * hard) / 5
    assert torch.allclose(found, expected.detach(), atol=1e-6)


@pytest.mark.parametrize(
    ("progress", "weight"), [(0.0, 0.0), (0.25, 0.25), (0.5, 1.0), (1.0, 1.0)]
)
def test_the_full_network_teaches_the_sized_one_more_and_more(
    progress: float, weight: float
) -> None:
    full, sized = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]).log_softmax(1)
    apart = float((0.5 * (torch.tensor(0.5).log() - sized)).sum())  # KL by its definition
    loss = adjoined_loss(full, sized, torch.tensor(2.0), progress=progress)
    assert float(loss) == pytest.approx(2 + weight * apart)
