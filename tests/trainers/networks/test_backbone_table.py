import subprocess
import sys

import pytest

from trainers.networks.backbones import BACKBONES, backbone_info, backbone_names

PROMISED = {
    *("alexnet", "vgg11", "vgg16", "vgg11_bn", "vgg16_bn", "resnet18", "resnet34", "resnet50"),
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
    *("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "densenet121", "resnext50_32x4d"),
    *("squeezenet1_0", "squeezenet1_1", "digitnet"),
    *("cifar_resnet20", "cifar_resnet32", "cifar_resnet44", "cifar_resnet56"),
}


def test_the_promised_backbones_are_known() -> None:
    assert set(backbone_names()) == set(BACKBONES)
    # There may be more: docs/guides/add-a-backbone.md.
    assert set(BACKBONES) >= PROMISED


def test_names_and_sizes_are_known_without_torch() -> None:
    code = (
        "import sys, trainers.networks.backbones as b, trainers.data; b.backbone_info('vgg16');"
        "sys.exit(bool({'torch', 'torchvision', 'sklearn'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reference_heads_are_those_of_the_papers_or_synthetic() -> None:
    assert backbone_info("vgg16").reference_widths == (4096, 4096)
    assert backbone_info("alexnet").reference_widths == (4096, 4096)
    assert backbone_info("digitnet").reference_widths == (256, 128)
    assert backbone_info("resnet50").reference_widths == (2048, 1024)
    assert backbone_info("cifar_resnet20").reference_widths == (64, 32)


def test_an_alias_and_a_slip_are_understood() -> None:
    assert backbone_info("resnext50").name == "resnext50_32x4d"
    with pytest.raises(ValueError, match="Did you mean 'resnet18'"):
        backbone_info("resnet-18")
