"""What the server of a sweep's page answers: its files, the sweep as JSON, events, choices."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from orchestrator.analysis.outcomes import labels_of
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.pages.board import Board
from orchestrator.pages.choosing import choose, copy_choices
from orchestrator.pages.comparing import comparison, disputed_images
from orchestrator.pages.details import trial_page_record
from orchestrator.pages.drawing import plot_response, plots_here
from orchestrator.pages.guard import Access, Guard
from orchestrator.pages.pictures import Pictures
from orchestrator.places import network_file
from orchestrator.queries.plotting import Asked
from orchestrator.queries.records import trial_record
from orchestrator.queries.sweeps import Sweep
from orchestrator.reporting.tables import as_csv, as_json
from orchestrator.trials import ChoiceKind
from trainers.errors import TrainerError

_FILES = Path(__file__).parent / "static"
_LOOKS_EVERY_S = 1.0
_SIGN_OF_LIFE_EVERY = 15
"""Looks without news after which an event says that the server is still there."""
_LONGEST_BODY = 64_000
_GZIP_FROM, _GZIP_LEVEL = 20_000, 1

Endpoint = Callable[["Page", Request], Response]


def page_application(sweep: Sweep, access: Access, mlflow: Callable[[], str] = str) -> ASGIApp:
    """Build the page of a sweep as an ASGI application.

    Args:
        sweep: The sweep, in an open store.
        access: Who may look, and who may change something.
        mlflow: Returns the address of the MLflow server that has its runs; empty while there is
            none.
    """
    page = Page(sweep, Board(sweep), Pictures(sweep), access, mlflow)
    # A stream of events is left as it is.
    answers = GZipMiddleware(Starlette(routes=page.routes()), _GZIP_FROM, _GZIP_LEVEL)
    return Guard(answers, access)


def _answered(endpoint: Endpoint) -> Endpoint:
    """Turn errors that are meant for a person into answers."""

    @wraps(endpoint)
    def answer(page: "Page", request: Request) -> Response:
        try:
            return endpoint(page, request)
        except UnknownNameError as error:
            return _json({"error": str(error)}, 404)
        except (OrchestratorError, TrainerError) as error:
            return _json({"error": str(error)}, 400)

    return answer


@dataclass(frozen=True, slots=True)
class Page:
    """The endpoints of one sweep's page; `page_application` says what its parts are."""

    sweep: Sweep
    board: Board
    pictures: Pictures
    access: Access
    mlflow: Callable[[], str]

    def routes(self) -> list[Route | Mount]:
        """Return all routes."""
        return [
            Route("/", self.index),
            Route("/api/board", self.whole),
            Route("/api/where", self.where),
            Route("/api/trial/{number:int}", self.trial),
            Route("/api/compare", self.compare),
            Route("/api/disagreements", self.disagreements),
            Route("/api/choice", self.decide, methods=["POST"]),
            Route("/plot/{kind}", self.plot),
            Route("/picture/{place:int}.png", self.picture),
            Route("/trial/{number:int}/model.safetensors", self.network),
            Route("/trials.{form}", self.export),
            Route("/events", self.events),
            Mount("/static", StaticFiles(directory=_FILES)),
        ]

    async def index(self, _request: Request) -> Response:
        """Answer with the page itself, which holds nothing of the sweep."""
        return FileResponse(_FILES / "index.html")

    @_answered
    def whole(self, request: Request) -> Response:
        """Answer with the sweep, and the trials that changed since a version."""
        self.board.refresh()
        found = self.board.since(_whole(request, "since"), request.query_params.get("served", ""))
        facts: dict[str, object] = {
            "may_change": self.access.may_change,
            "mlflow_server": self.mlflow(),
        }
        facts["plots"] = plots_here()
        return _json(found | facts)

    @_answered
    def where(self, request: Request) -> Response:
        """Answer with the trials that fulfill a condition, and their front."""
        return _json(self.board.matching(request.query_params.get("condition", "")))

    @_answered
    def trial(self, request: Request) -> Response:
        """Answer with one trial in full."""
        return _json(trial_page_record(self.sweep, request.path_params["number"]))

    @_answered
    def compare(self, request: Request) -> Response:
        """Answer with trials side by side."""
        return _json(comparison(self.sweep, _numbers(request)))

    @_answered
    def disagreements(self, request: Request) -> Response:
        """Answer with the images that trials answer differently, and whether they can be shown."""
        numbers = _numbers(request)
        found = disputed_images(self.sweep, numbers)
        try:
            same = self.pictures.labels_digest() == labels_of(self.sweep.trial(numbers[0]))
            note = "" if same else "The images that are here are not those that were measured."
            found |= {"classes": self.pictures.classes()}
        except OrchestratorError as error:
            note = str(error)
        return _json(found | {"has_pictures": not note, "note": note})

    def plot(self, request: Request) -> Response:
        """Answer with a plot, as a page for a frame."""
        objective = request.query_params.get("objective") or None
        return plot_response(self.sweep, request.path_params["kind"], Asked(objective))

    @_answered
    def picture(self, request: Request) -> Response:
        """Answer with a validation image."""
        return Response(self.pictures.png(request.path_params["place"]), media_type="image/png")

    @_answered
    def network(self, request: Request) -> Response:
        """Answer with the packed network of a trial, if it is the one that was measured."""
        number = request.path_params["number"]
        artifact = self.sweep.trial(number).artifact
        if artifact is None:
            raise UsageError(f"Trial {number} has no packed network; only complete trials have.")
        file = network_file(artifact, f"trial {number} of {self.sweep.name!r}")
        return FileResponse(file, filename=f"trial-{number}.safetensors")

    @_answered
    def export(self, request: Request) -> Response:
        """Answer with trials as CSV or JSON: those that are named, else all."""
        form = request.path_params["form"]
        if form not in ("csv", "json"):
            raise UnknownNameError("form", form, ("csv", "json"))
        store, name = self.sweep.store, self.sweep.name
        named = "trials" in request.query_params
        trials = store.numbered(name, _numbers(request)) if named else store.trials(name)
        chosen = {each.trial: each for each in store.choices(name)}
        records = []
        for trial in trials:
            choice = chosen.get(trial.number)
            said = {"choice": choice.kind.value, "note": choice.note} if choice else {}
            records.append(trial_record(trial) | said)
        text = as_csv(records) if form == "csv" else as_json(records)
        kind = "text/csv" if form == "csv" else "application/json"
        headers = {"content-disposition": f'attachment; filename="trials.{form}"'}
        return Response(text, media_type=kind, headers=headers)

    async def decide(self, request: Request) -> Response:
        """Store or remove a choice, which the guard has let through."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_BODY:
                return _json({"error": "That is too long."}, 413)
        return await run_in_threadpool(self._decided, body)

    def _decided(self, body: bytes) -> Response:
        try:
            wanted = json.loads(body)
            trial, note = int(wanted["trial"]), str(wanted.get("note") or "")
            kind = ChoiceKind(wanted["kind"]) if wanted.get("kind") else None
        except (ValueError, KeyError, TypeError):
            return _json({"error": "A choice has trial, kind and note."}, 400)
        try:
            if kind is None:
                self.sweep.store.withdraw(self.sweep.name, trial)
            else:
                choose(self.sweep, trial, kind, note)
            self.board.look_again()
            return _json({"said": copy_choices(self.sweep)})
        except OrchestratorError as error:
            return _json({"error": str(error)}, 400)

    async def events(self, _request: Request) -> Response:
        """Answer with a stream of events: one whenever there is something new to ask for."""
        return StreamingResponse(self._news(), media_type="text/event-stream")

    async def _news(self) -> AsyncIterator[str]:
        told: object = None
        looks = 0
        while True:
            try:
                version = await run_in_threadpool(self.board.refresh)
                news: dict[str, object] = {"version": version, "mlflow": self.mlflow()}
            except OrchestratorError as error:
                news = {"trouble": str(error)}
            looks = 0 if news != told else looks + 1
            if looks % _SIGN_OF_LIFE_EVERY == 0:
                yield f"data: {json.dumps(news)}\n\n"
            told = news
            await asyncio.sleep(_LOOKS_EVERY_S)


def _json(value: object, status: int = 200) -> Response:
    text = json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def _plain(value: Any) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _whole(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def _numbers(request: Request) -> Sequence[int]:
    texts = request.query_params.get("trials", "").split(",")
    if not all(text.isdecimal() and len(text) < 10 for text in texts):
        raise UsageError("Trials are named by their numbers, as in trials=3,17.")
    return [int(text) for text in texts]
