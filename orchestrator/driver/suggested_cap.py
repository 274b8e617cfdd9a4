"""The depth cap of a sweep: from its images where it is ``auto``, and as a prior of `depth`."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.analysis.depth_analysis import DepthReport, analyze_depth
from orchestrator.analysis.depth_cap import BASIS
from orchestrator.errors import UsageError
from orchestrator.spec.backbone_section import AUTO
from orchestrator.spec.messages import sentences
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.networks.backbone_table import backbone_info
from trainers.networks.variants import STAGES

if TYPE_CHECKING:
    from orchestrator.sampling.value_prior import ValuePrior


def with_suggested_cap(spec: SweepSpec) -> SweepSpec:
    """Replace ``depth_cap: auto`` by a number and where it is from; other sweeps stay as they are.

    The training images are read on this machine, the driver's. They alone decide, so that
    validation and test images still judge what is found.

    Args:
        spec: The sweep.

    Raises:
        UsageError: The backbone cannot be cut that far, or the space has depths above the cap.
        DataError: The images cannot be read here.
        PixelTypeError: They are not uint8 pixels.

    >>> from orchestrator.spec.files import load_sweep
    >>> cut = ["backbone.weights=scratch", "backbone.depth_cap=auto", "training.tune=all"]
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=cut)
    >>> with_suggested_cap(spec).backbone.depth_cap
    2
    """
    if spec.backbone.depth_cap != AUTO:
        return spec
    report = analyze_depth(spec.data_config())
    values = spec.model_dump(mode="json")
    values["backbone"] |= {"depth_cap": report.cap, "depth_cap_basis": _basis(report)}
    try:
        return SweepSpec.model_validate(values)
    except ValidationError as error:
        told = " ".join(text for _, text in sentences(error))
        raise UsageError(
            f"backbone.depth_cap is auto, which is {report.cap} for {report.data} "
            f"({_basis(report)}). {told}"
        ) from None


def depth_prior(spec: SweepSpec) -> "ValuePrior | None":
    """Return the prior of the parameter `depth`, where the sweep's cap is one; else None.

    Its center is the depth that the cap would allow as a bound, at least 1.

    >>> from orchestrator.spec.files import load_sweep
    >>> depth_prior(load_sweep("examples/sweeps/digits.yaml")) is None
    True
    """
    cap = spec.backbone.depth_cap
    if spec.backbone.depth_cap_as != "prior" or not isinstance(cap, int):
        return None
    from orchestrator.sampling.value_prior import ValuePrior

    base = backbone_info(spec.backbone.name).base
    return ValuePrior("depth", center=max(1, STAGES[base].depth_under(cap)))


def _basis(report: DepthReport) -> str:
    return f"{report.conversion.formula(report.overall.mean)} of {report.data}; {BASIS}"
