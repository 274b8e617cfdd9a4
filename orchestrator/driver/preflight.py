"""What can be known of a sweep before it runs."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.constraints import KnownConstraints
from orchestrator.contracts import Prepared
from orchestrator.driver.address_checks import address_problems
from orchestrator.driver.callbacks import check_callbacks
from orchestrator.driver.executors import INLINE_WORDS
from orchestrator.driver.function_checks import check_functions
from orchestrator.driver.memory_range import memory_sizes, prepared_of
from orchestrator.driver.mirroring import chosen_store, chosen_tracking
from orchestrator.driver.part_checks import check_parts, step_problems
from orchestrator.driver.recipe_checks import (
    RecipeChecks,
    balance_text,
    check_recipes,
    unmeasured_problems,
)
from orchestrator.driver.samplers import check_samplers
from orchestrator.driver.schedulers import check_scheduler
from orchestrator.driver.single_images import refused_single_images
from orchestrator.driver.suggested_cap import with_suggested_cap
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.execution.ray_address import HERE
from orchestrator.execution.ray_folder import find_ray_folder
from orchestrator.execution.slots import Node, slots
from orchestrator.quantities import human
from orchestrator.queries.data_notes import leaks
from orchestrator.sampling.deduplication import MAX_LISTED
from orchestrator.search.cost_model import KNOWN_NAMES, CostModel
from orchestrator.search.warm_start import described
from orchestrator.spec.run_sections import AUTO, BudgetSection
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from trainers.data.config import RESIZES
from trainers.errors import WeightsError
from trainers.networks.backbone_table import backbone_info
from trainers.networks.reuse_config import FATES, JUDGED, ReuseConfig
from trainers.pruning.config import PRUNING_PARAMETERS

if TYPE_CHECKING:
    from trainers.data import ImageData
    from trainers.networks.backbones.weight_sources import WeightsSource

_SHOWN_VARIANTS = 6
_WITHOUT_FILE = {
    "scratch": "scratch: drawn at random by the seed",
    "own": "own: as the backbone's function returns them",
    "pretrained": "pretrained: timm's, which timm downloads where its cache lacks them",
}
# Of a space that is too large to be listed.
_SAMPLED = 1_000
# Data sets that are read without a download.
_LOCAL = ("digits", None)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        lines: Label and text, to be shown to the user.
        problems: What would keep the sweep from running, as sentences.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(spec: SweepSpec) -> CheckReport:
    """Check a sweep without running it: size of its space, memory range, resources, data.

    Images on this machine are read, so that a broken one is found now; nothing is
    downloaded, trained or stored.

    Raises:
        TrainerError: The images cannot be used.
    """
    spec, report = with_suggested_cap(spec), CheckReport()
    size = spec.search_space.size
    report.lines.extend(_described(spec, size))
    state = StateFolder.find()
    if stored := chosen_store(spec.store, state):
        report.lines.append(("store", stored))
    if tracked := chosen_tracking(spec, state):
        report.lines.append(("tracking", tracked))
    report.problems.extend(address_problems(spec, state))
    for look in (check_samplers, check_scheduler, check_callbacks):
        try:
            look(spec)
        except UsageError as error:
            report.problems.append(str(error))
    _check_single_images(spec, report)
    _check_weights(spec, report)
    refused = _check_data(spec, report)
    _check_size(spec, size, refused, report)
    _check_resources(spec, report)
    return report


def _described(spec: SweepSpec, size: int | None) -> Iterator[tuple[str, str]]:
    """Describe what the file says of the search."""
    count = "infinitely many (a parameter is continuous)" if size is None else f"{size:,}"
    trials = spec.budget.trials
    yield "sweep", f"{spec.name}: {trials} trials, sampled by {spec.sampler.kind}"
    yield "configurations", f"{count}, over {', '.join(spec.search_space.names)}"
    if spec.reference:
        text = "the full-size head in floating point is measured first, as part of the budget"
        yield "reference", text
    if spec.warm_start is not None:
        yield "warm start", f"learns first from {described(spec.warm_start)}"
    yield from _caps(spec)
    if spec.quantization.sensitivity is not None:
        layers = len(spec.quantization.sensitivity.weights)
        text = f"allocations by the sensitivity of {layers} layers are tried first"
        yield "bits", text
    yield "budget", _budget(spec.budget)


def _caps(spec: SweepSpec) -> Iterator[tuple[str, str]]:
    """Say what a depth cap is, and where it is from."""
    backbone = spec.backbone
    if backbone.depth_cap is not None:
        what = "are tried first" if backbone.depth_cap_as == "prior" else "at most"
        basis = f": {backbone.depth_cap_basis}" if backbone.depth_cap_basis else ""
        yield "depth cap", f"{backbone.depth_cap} convolution layers a stage {what}{basis}"


def _check_size(spec: SweepSpec, size: int | None, refused: int, report: CheckReport) -> None:
    """Say when the space is exhausted before the budget is."""
    # The reference counts as one more configuration.
    most = None if size is None else (size - refused + spec.reference) * spec.replicates
    if most is not None and spec.budget.trials > most:
        text = f"the space is exhausted after {most:,} of {spec.budget.trials:,} trials"
        if spec.takes_up_stopped:
            text += "; trials that were stopped go on then, while there is time"
        report.lines.append(("note", text))


def _check_single_images(spec: SweepSpec, report: CheckReport) -> None:
    single, all_fail = refused_single_images(spec)
    if all_fail:
        report.problems.extend(single)
    else:
        report.lines.extend(("note", f"some trials will fail: {text}") for text in single)


def _budget(budget: BudgetSection) -> str:
    """When the sweep ends, in words."""
    plateau = budget.plateau
    limits = [f"{budget.trials:,} trials"]
    if budget.seconds is not None:
        limits.append(human("train_s", budget.seconds))
    for kind, hours in (("CPU", budget.cpu_hours), ("GPU", budget.gpu_hours)):
        if hours is not None:
            limits.append(f"{hours:g} {kind} hours")
    if budget.disk is not None:
        limits.append(f"{human('disk_bytes', budget.disk)} on disk")
    if plateau is not None and plateau.growth is None:
        limits.append(f"{plateau.trials:,} trials in a row that do not change the front")
    elif plateau is not None:
        share = f"{100 * (plateau.growth or 0):g} %"
        limits.append(
            f"{plateau.trials:,} trials over which the hypervolume grows less than {share}"
        )
    return f"ends after {' or '.join(limits)}"


def _check_weights(spec: SweepSpec, report: CheckReport) -> None:
    """Say which weights every backbone starts from; local ones are tried."""
    from trainers.networks.backbones.weight_sources import check_weights

    names = spec.backbones
    for name in names:
        label = f"{name}: " if len(names) > 1 else ""
        try:
            source = check_weights(name, spec.backbone.weights)
        except WeightsError as error:
            report.problems.append(f"{label}{error}")
        else:
            _check_verdict(spec, report)
            report.problems.extend(step_problems(spec, name))
            is_default = "weights" not in spec.backbone.model_fields_set
            report.lines.append(("weights", f"{label}{_source(source, is_default=is_default)}"))
    _check_variants(spec, report)


def _check_variants(spec: SweepSpec, report: CheckReport) -> None:
    """Say which cut or scaled networks there are, and what becomes of their weights."""
    infos = [backbone_info(name) for name in spec.architectures]
    if all(info.name == info.base for info in infos):
        return
    shown = ", ".join(info.name for info in infos[:_SHOWN_VARIANTS])
    more = f" and {len(infos) - _SHOWN_VARIANTS} more" if len(infos) > _SHOWN_VARIANTS else ""
    report.lines.append(("networks", f"{shown}{more}"))
    if spec.backbone.weights == "scratch":
        return
    if any(info.depth is not None and info.width == 1 for info in infos):
        start = spec.backbone.depth_start or "prefix"
        text = "a cut network starts with the weights of the layers that it keeps"
        if start == "fused":
            text = "the last layer that a cut keeps of a stage starts as the fusion of the rest"
        report.lines.append(("note", text))
    if any(info.width != 1 for info in infos):
        text = (
            "a network of another width starts from scratch: the pre-trained weights do not fit it"
        )
        if spec.training.tune != "all":
            text += ", and what tune leaves frozen stays random"
        report.lines.append(("note", text))


def _check_verdict(spec: SweepSpec, report: CheckReport) -> None:
    """Say what is reused, and refuse a verdict of other layers or other weights."""
    verdict = spec.backbone.verdict
    if verdict is None:
        return
    from trainers.reuse.sources import check_judged

    problem = check_judged(
        spec.backbone.name,
        spec.backbone.weights,
        ReuseConfig(JUDGED, verdict.verdict),
        verdict.source_digest,
    )
    if problem:
        report.problems.append(problem)
    fates = list(verdict.verdict.values())
    counts = ", ".join(f"{fates.count(fate)} {fate}" for fate in FATES)
    report.lines.append(("reuse", f"judged, of {len(fates)} layers: {counts}"))


def _source(source: "WeightsSource", *, is_default: bool) -> str:
    """Where weights come from, in words."""
    if source.path is None:
        return _WITHOUT_FILE[source.weights]
    size = "unknown size" if source.bytes is None else human("disk_bytes", source.bytes)
    if source.weights == "bundled":
        return f"bundled with paretune, {size}"
    if source.weights != "imagenet":
        return f"{source.path}, {size}, fits {source.backbone}"
    word = "imagenet, which is the default" if is_default else "imagenet"
    if not source.url:
        return f"{word}: torchvision's, at {source.path}, {size}"
    return f"{word}: not on this machine; a run downloads {size} from {source.url}"


def _check_data(spec: SweepSpec, report: CheckReport) -> int:
    """Look at the images and at the sizes of networks for them; how many cannot meet a limit."""
    from trainers.data import load_data

    report.lines.extend(("warning", text) for text in leaks(spec))
    if spec.data.name not in _LOCAL:
        report.lines.append(("data", f"{spec.data.label}; read when the sweep runs"))
        _check_claim(spec, None, report)
        _tell_recipes(check_recipes(spec, None), report)
        _check_own(spec, None, report)
        return 0
    data = load_data(spec.data_config())
    counts = ", ".join(
        f"{len(data.subset(name)[1]):,} {name}" for name in ("train", "val", "test")
    )
    shape = "x".join(map(str, data.train_images.shape[1:]))
    text = f"{data.name}: {len(data.classes)} classes, images {shape}, {counts}"
    report.lines.append(("data", text))
    _check_claim(spec, len(data.subset("val")[1]), report)
    report.lines.append(("pixels", _pixels(spec, data)))
    report.lines.append(("balance", balance_text(data.classes, data.train_labels)))
    report.problems.extend(unmeasured_problems(spec, len(data.classes)))
    _check_own(spec, data, report)
    sizes, refusals = memory_sizes(spec, data)
    _tell_recipes(check_recipes(spec, data, said=refusals), report)
    report.lines.extend(("note", note) for note in data.notes)
    _tell_memory(spec, sizes, refusals, report)
    return _check_limits(spec, prepared_of(spec, data), report)


def _check_own(spec: SweepSpec, data: "ImageData | None", report: CheckReport) -> None:
    """Call code of a user's own, and tell what it did."""
    lines, problems = ([], []) if data is None else check_functions(spec, data)
    report.lines.extend(("function", line) for line in lines)
    others, broken = check_parts(spec, data)
    report.lines.extend(("own code", line) for line in others)
    report.problems.extend([*problems, *broken])


def _tell_recipes(recipes: RecipeChecks, report: CheckReport) -> None:
    report.lines.extend(("training", text) for text in recipes.notes)
    report.problems.extend(recipes.problems)


def _tell_memory(
    spec: SweepSpec, sizes: list[int], refusals: list[str], report: CheckReport
) -> None:
    """Give the range of the sizes of networks, or say why there is no network."""
    if sizes:
        ends = [human("memory_bytes", size) for size in (min(sizes), max(sizes))]
        prunes = spec.pruning is not None or set(PRUNING_PARAMETERS) & spec.space.keys()
        note = "; less where weights are pruned" if prunes else ""
        report.lines.append(("memory", " to ".join(ends) + note))
        report.lines.extend(("note", f"some trials will fail: {text}") for text in refusals)
    else:
        report.problems.extend(text for text in refusals if text not in report.problems)


def _check_claim(spec: SweepSpec, images: int | None, report: CheckReport) -> None:
    """Say what is to be shown against the reference, and how likely that is."""
    if spec.reference:
        # Imported here: SciPy takes a second, which a sweep without a reference need not wait for.
        from orchestrator.driver.claim_power import claim_lines

        report.lines.extend(claim_lines(spec, images))


def _pixels(spec: SweepSpec, data: "ImageData") -> str:
    """Describe how images are resized, where they lie, and what the networks see of them."""
    from trainers.data.mapped import mapped_of

    height, width = data.train_images.shape[2:]
    resize = spec.data.resize or RESIZES[0]
    seen = {
        name: spec.backbone.image_size or backbone_info(name).image_size for name in spec.backbones
    }
    sides = ", ".join(f"{name} sees {side} by {side}" for name, side in seen.items())
    taken = sum(data.subset(name)[0].nbytes for name in ("train", "val", "test"))
    in_all = human("memory_bytes", taken)
    mapped = mapped_of(data.train_images)
    where = "in memory" if mapped is None else f"in {mapped.file}"
    return f"{width} by {height} (resize: {resize}), {in_all} {where}; {sides}"


def _check_limits(spec: SweepSpec, prepared: Prepared, report: CheckReport) -> int:
    """Say how many configurations would be refused before training, exactly if they are few."""
    limits = [limit for limit in spec.limits if limit.name in KNOWN_NAMES]
    if not limits:
        return 0
    refusals = KnownConstraints(limits, CostModel(spec.trial_config(), prepared))
    space = spec.search_space
    is_listed = space.size is not None and space.size <= MAX_LISTED
    rng = random.Random(spec.seed)  # noqa: S311 - a sample, not a secret
    every = space.grid() if is_listed else (space.sample(rng) for _ in range(_SAMPLED))
    broken = [bool(refusals.broken(params)) for params in every]
    refused, said = sum(broken), " and ".join(map(str, limits))
    drawn = "" if is_listed else " drawn at random"
    if refused == len(broken):
        report.problems.append(
            f"No configuration of {len(broken):,}{drawn} can meet {said}, so that nothing would "
            f"be started. Raise the limit, or let the space hold other networks."
        )
    elif refused:
        text = f"{refused:,} of {len(broken):,} configurations{drawn} cannot meet {said}"
        report.lines.append(("refused", f"{text}; they are never started"))
    return refused if is_listed else 0


def _check_resources(spec: SweepSpec, report: CheckReport) -> None:
    if AUTO in (spec.resources.gpus, spec.resources.memory):
        text = "auto: a run begins with a short trial of the widest configuration, and measures it"
        report.lines.append(("resources", text))
        return
    if spec.execution.kind == "inline":
        report.lines.append(("execution", f"inline: {INLINE_WORDS}"))
        return
    address = os.environ.get("RAY_ADDRESS", "")
    needs = spec.resources.as_needs()
    if address not in HERE:
        report.lines.append(
            ("resources", f"{needs} a trial; the cluster at {address} was not asked")
        )
        return
    here = Node({"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(_gpus())})
    try:
        fitting = slots([here], needs)
    except OrchestratorError as error:
        report.problems.append(str(error))
    else:
        report.lines.append(("resources", f"{needs} a trial: {fitting} at once on this machine"))
    folder = find_ray_folder()
    if folder.problem:
        report.problems.append(f"Ray cannot start here: {folder.problem}. {folder.fix}")


def _gpus() -> int:
    from trainers.determinism import gpu_count

    return gpu_count()
