"""What every criterion promises by which single weights are pruned in a training."""

import pytest
import torch
from torch import Tensor, nn

from trainers.pruning.config import PruningConfig
from trainers.pruning.criteria import Evidence
from trainers.pruning.masks import Masks
from trainers.pruning.own import criterion_of


class CriterionContract:
    """Subclass it, and give the fixture ``name`` as a sweep file would, resolved."""

    @pytest.fixture
    def name(self) -> str:
        """Give the name of the criterion."""
        raise NotImplementedError("Give the name of the criterion to be tested.")

    @pytest.fixture
    def config(self, name: str) -> PruningConfig:
        """Give a pruning of three quarters of the weights."""
        return PruningConfig(sparsity=0.75, criterion=name, schedule="gradual")

    @pytest.mark.parametrize("shape", [(6, 3, 3, 3), (5, 7)])
    def test_each_weight_has_a_finite_score(
        self, config: PruningConfig, shape: tuple[int, ...]
    ) -> None:
        scores = criterion_of(config.criterion).score(_evidence(config, shape))
        assert scores.shape == shape
        assert scores.isfinite().all()

    def test_the_same_evidence_gives_the_same_scores(self, config: PruningConfig) -> None:
        first, second = (
            criterion_of(config.criterion).score(_evidence(config, (6, 3, 3, 3))) for _ in range(2)
        )
        assert first.equal(second)

    def test_evidence_is_left_as_it_was(self, config: PruningConfig) -> None:
        evidence, before = (_evidence(config, (6, 3, 3, 3)) for _ in range(2))
        criterion_of(config.criterion).score(evidence)
        names = ("weight", "initial", "gradient", "noise", "accumulated")
        assert all(getattr(evidence, n).equal(getattr(before, n)) for n in names)

    def test_the_wanted_share_is_pruned_and_stays_pruned(self, config: PruningConfig) -> None:
        network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3))
        masks, steps = Masks(network, config, seed=0), 20
        generator, before = torch.Generator().manual_seed(1), None
        for step in range(1, steps + 1):
            for weight in network.parameters():
                weight.grad = torch.randn(weight.shape, generator=generator)
                weight.data -= 0.1 * weight.grad
            masks.after_step(step / steps)
            pruned = [~kept for kept in masks.kept.values()]
            if before is not None:
                assert all((now | ~was).all() for now, was in zip(pruned, before, strict=True))
            before = [each.clone() for each in pruned]
        for name, kept in masks.kept.items():
            assert float((~kept).float().mean()) == pytest.approx(0.75, abs=0.5 / kept.numel())
            assert (network.get_parameter(name)[~kept] == 0).all()


def _evidence(config: PruningConfig, shape: tuple[int, ...]) -> Evidence:
    generator = torch.Generator().manual_seed(0)

    def drawn() -> Tensor:
        return torch.randn(shape, generator=generator)

    weight, gradient = drawn(), drawn()
    gather, gathered = criterion_of(config.criterion).gather, torch.zeros(shape)
    if gather is not None:
        gathered = gather(gathered, weight, gradient)
    noise = torch.rand(shape, generator=generator)
    return Evidence(weight, drawn(), gradient, noise, gathered, 0.5)
