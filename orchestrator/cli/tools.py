"""``export``, ``sync`` and ``doctor``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    AddressOption,
    Format,
    FormatOption,
    NameArgument,
    RunStoreOption,
    SettingsOption,
    StoreOption,
    TrialArgument,
    print_records,
    say,
)
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from trainers.onnx.export import OnnxInfo
    from trainers.onnx.int8 import Int8Info
    from trainers.onnx.latency import Latency


def export(
    name: NameArgument,
    trial: TrialArgument,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    store: StoreOption = None,
    *,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="Also write model.onnx, check it against torch and time it."),
    ] = False,
    onnx_int8: Annotated[
        bool,
        typer.Option(
            "--onnx-int8",
            help="Also write model.int8.onnx, whose activations are int8 too: another network, "
            "calibrated on the training images, measured on the validation images, and timed.",
        ),
    ] = False,
) -> None:
    """Write the packed network of a trial, and what is needed to load it, to a folder.

    Example: paretune export digits-fc 17 --to network --onnx
    """
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.reporting.export import export as export_trial
    from orchestrator.reporting.export import export_int8, export_onnx
    from orchestrator.spec.files import stored_sweep
    from orchestrator.spec.stored import note_code, with_places
    from orchestrator.state_folder import StateFolder

    sweep = open_sweep(name, store)
    note_code(sweep.spec)
    for path in export_trial(name, trial, to, sweep.store):
        typer.echo(f"{path}  {path.stat().st_size} bytes")
    if onnx:
        for line in _onnx_lines(*export_onnx(to)):
            typer.echo(line)
    if onnx_int8:
        here = with_places(sweep.spec, sweep.record.content, StateFolder.find())
        data = stored_sweep(name, here).data_config()
        for line in _int8_lines(*export_int8(to, data)):
            typer.echo(line)


def _onnx_lines(info: "OnnxInfo", latency: "Latency") -> Iterator[str]:
    yield f"{info.path}  {info.bytes} bytes"
    if info.int8_weights:
        bits = info.activation_bits
        kind = "are float32" if bits == 32 else f"have {bits} bits"
        yield f"int8 codes in {len(info.int8_weights)} weights; activations {kind}"
    if info.float_weights:
        yield (
            f"float32 in {len(info.float_weights)} weights: ONNX has no operator for the codebook "
            f"that they are quantized by"
        )
    yield (
        f"logits differ from torch's by {info.max_difference:.1g} at most; {info.tolerance:.1g} "
        f"is accepted"
    )
    yield f"{_latency_line(latency)}; computed in float32 whatever the bits are"


def _int8_lines(info: "Int8Info", latency: "Latency") -> Iterator[str]:
    yield f"{info.path}  {info.bytes} bytes"
    yield (
        f"accuracy {info.accuracy:.2%} on the validation images, and {info.float_accuracy:.2%} "
        f"with float32 activations"
    )
    yield f"{_latency_line(latency)}; computed in int8"


def _latency_line(latency: "Latency") -> str:
    return (
        f"latency_ms {latency.latency_ms:.3g}: one image on one thread of this CPU, median of "
        f"{latency.runs} runs of onnxruntime"
    )


def sync(name: NameArgument, store: StoreOption = None) -> None:
    """Repair what MLflow lacks of a sweep, then count what it has.

    Example: paretune sync digits-fc
    """
    from orchestrator.queries.sweeps import open_sweep
    from orchestrator.redaction import redacted
    from orchestrator.reporting.sweep_report import keep_report
    from orchestrator.state_folder import StateFolder
    from orchestrator.tracking import MlflowMirror, stored_mirror
    from orchestrator.tracking import sync as sync_sweep
    from orchestrator.trials import SweepState

    sweep = open_sweep(name, store)
    tracking, state = sweep.spec.get("tracking") or {}, StateFolder.find()
    mirror = stored_mirror(sweep.record, sweep.store, state)
    if not isinstance(mirror, MlflowMirror):
        raise UsageError(
            f"{name} is not mirrored: its file says 'tracking: none'. Run it again with "
            f"--set tracking.kind=mlflow to change that."
        )
    address, variable = state.tracking_address(tracking.get("uri"))
    if variable:
        say(f"{variable} names {redacted(address)}, because the sweep file names no tracking.uri")
    report = sync_sweep(sweep.store, name, mirror)
    if sweep.record.state is not SweepState.RUNNING and (trouble := keep_report(sweep, mirror)):
        say(trouble)
    for what in ("runs", "params", "metrics", "artifacts"):
        count = getattr(report, what)
        typer.echo(f"{what:<9}  {count.found} of {count.expected} in MLflow")
    for sentence in report.repaired:
        typer.echo(f"repaired: {sentence}")
    if not report.is_complete:
        listed = "\n  ".join(report.missing)
        raise OrchestratorError(f"MLflow lacks a part of {name}:\n  {listed}")


def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[SWEEP.yaml]", help="Also check what this sweep needs."),
    ] = None,
    settings: SettingsOption = None,
    address: AddressOption = None,
    store: RunStoreOption = None,
    how: FormatOption = Format.TABLE,
) -> None:
    """Check that this machine can run sweeps, by trying it; each finding comes with its fix.

    Example: paretune doctor examples/sweeps/digits.yaml --address head:6379
    """
    from orchestrator.doctor import doctor as examine
    from orchestrator.reporting.tables import findings_table
    from orchestrator.spec.files import load_sweep

    if file is None and settings:
        raise UsageError("--set changes a sweep file, and none is given: paretune doctor FILE")
    spec = None if file is None else load_sweep(file, settings=settings or ())
    findings = examine(spec, store=store, address=address)
    records = [
        {"name": each.name, "ok": each.ok, "detail": each.detail, "fix": each.fix}
        for each in findings
    ]
    print_records(records, findings_table(records), how)
    if not all(each.ok for each in findings):
        raise typer.Exit(1)
