"""The kernels that a test run asks for are those that it runs on."""

import os

import torch

CAPABILITIES = {"default": {"DEFAULT"}, "avx2": {"DEFAULT", "AVX2"}}


def test_torch_computes_with_the_kernels_that_were_asked_for() -> None:
    """`make processors` would else say nothing; less than asked for is a processor without."""
    capability = torch.backends.cpu.get_cpu_capability()
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "")
    assert capability in CAPABILITIES.get(asked, {capability})
