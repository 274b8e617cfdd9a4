"""The optimizer of a training: groups of parameters, and their learning rates."""

from torch import nn

from trainers.config import TrialConfig
from trainers.networks.network import Network
from trainers.training.loss_scale import LossScale
from trainers.training.optimizers import MOMENTUM, SGD, AdamW, Group, Optimizer


def build_optimizer(
    config: TrialConfig, network: Network, weights: list[nn.Parameter], spreads: list[nn.Parameter]
) -> Optimizer:
    """Build the optimizer that a config names.

    Args:
        config: Its optimizer's settings and its recipe.
        network: The network.
        weights: Its parameters that are trained.
        spreads: Parameters of quantization-aware training.
    """
    # Weight decay would shrink a step until it clips the weights it has to cover. The learning
    # rate is that of the weights (Esser et al. 2020, section 2.2).
    groups = [
        Group(parameters, decay, factor)
        for given, decay in ((weights, config.weight_decay), (spreads, 0.0))
        for factor, parameters in _by_factor(config, network, given).items()
    ]
    momentum = config.recipe.momentum
    if config.optimizer == "sgd":
        optimizer: Optimizer = SGD(groups, MOMENTUM if momentum is None else momentum)
    else:
        optimizer = AdamW(groups)
    if config.recipe.precision == "float16":
        optimizer.scaling = LossScale(weights[0].device)
    return optimizer


def _by_factor(
    config: TrialConfig, network: Network, given: list[nn.Parameter]
) -> dict[float, list[nn.Parameter]]:
    """Split parameters by the factor of their learning rate: one group where all learn alike."""
    recipe = config.recipe
    factors = {id(parameter): 1.0 for parameter in given}
    if not recipe.backbone_rate_factor == recipe.layer_decay == 1:
        for depth, block in enumerate(reversed(network.blocks), start=1):
            factor = recipe.backbone_rate_factor * recipe.layer_decay**depth
            factors |= {id(each): factor for each in block.parameters() if id(each) in factors}
    by_factor: dict[float, list[nn.Parameter]] = {}
    for parameter in given:
        by_factor.setdefault(factors[id(parameter)], []).append(parameter)
    return by_factor
