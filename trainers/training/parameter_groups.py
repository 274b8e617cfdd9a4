"""The optimizer of a training: groups of parameters, and their learning rates."""

from torch import nn

from trainers.config import TrialConfig
from trainers.networks.network import Network
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
    groups = _groups(config, network, weights)
    if spreads:
        # Weight decay would shrink a step until it clips the weights it has to cover. The learning
        # rate is that of the weights (Esser et al. 2020, section 2.2).
        groups.append(Group(spreads, 0.0))
    if config.optimizer == "sgd":
        momentum = config.recipe.momentum
        return SGD(groups, MOMENTUM if momentum is None else momentum)
    return AdamW(groups)


def _groups(config: TrialConfig, network: Network, weights: list[nn.Parameter]) -> list[Group]:
    """Split the weights by their learning rate: one group where all learn alike."""
    recipe, decay = config.recipe, config.weight_decay
    if recipe.backbone_rate_factor == recipe.layer_decay == 1:
        return [Group(weights, decay)]
    factors = {id(parameter): 1.0 for parameter in weights}
    for depth, block in enumerate(reversed(network.blocks), start=1):
        factor = recipe.backbone_rate_factor * recipe.layer_decay**depth
        factors |= {id(each): factor for each in block.parameters() if id(each) in factors}
    by_factor: dict[float, list[nn.Parameter]] = {}
    for parameter in weights:
        by_factor.setdefault(factors[id(parameter)], []).append(parameter)
    return [Group(parameters, decay, factor) for factor, parameters in by_factor.items()]
