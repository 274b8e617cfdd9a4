"""What every store promises of the choices that people make, and of trials' standings."""

import pytest

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.errors import UnknownNameError
from orchestrator.testing.trial_contract import ODD
from orchestrator.trials import ChoiceKind, Standing, TrialState


class ChoicesContract:
    """Part of `StoreContract`; the fixtures ``store`` and ``writer`` are those of its others."""

    def test_a_choice_is_remembered_until_it_is_withdrawn(
        self, store: Store, writer: SweepWriter
    ) -> None:
        _complete(writer, 2)
        assert store.choices("a") == []
        candidate = store.choose("a", 1, ChoiceKind.CANDIDATE)
        picked = store.choose("a", 0, ChoiceKind.PICKED, note=ODD, who="ada")
        assert (picked.note, picked.who) == (ODD, "ada")
        assert store.choices("a") == [picked, candidate]
        again = store.choose("a", 1, ChoiceKind.PICKED, note="smaller")
        assert store.choices("a") == [picked, again]
        assert store.withdraw("a", 0)
        assert not store.withdraw("a", 0)
        assert store.choices("a") == [again]

    def test_only_a_complete_trial_can_be_chosen(self, store: Store, writer: SweepWriter) -> None:
        writer.add_trial({}, seed=0)
        with pytest.raises(ValueError, match="waiting"):
            store.choose("a", 0, ChoiceKind.PICKED)
        with pytest.raises(UnknownNameError):
            store.choose("a", 7, ChoiceKind.PICKED)
        assert store.choices("a") == []

    def test_a_choice_is_marked_while_a_driver_writes(
        self, store: Store, writer: SweepWriter
    ) -> None:
        _complete(writer, 1)
        for change in (
            lambda: store.choose("a", 0, ChoiceKind.PICKED),
            lambda: store.withdraw("a", 0),
        ):
            for mark in store.outbox.pending("a"):
                store.outbox.done(mark)
            before = store.sweep("a").revision
            change()
            assert [(m.trial, m.attempt) for m in store.outbox.pending("a")] == [(0, 0)]
            assert store.sweep("a").revision > before
        writer.add_trial({}, seed=0)  # the lease is untouched

    def test_standings_say_what_trials_do(self, store: Store, writer: SweepWriter) -> None:
        _complete(writer, 1)
        writer.add_trial({}, seed=0)
        assert store.standings("a") == [
            Standing(trial.number, trial.state, trial.ended) for trial in store.trials("a")
        ]


def _complete(writer: SweepWriter, count: int) -> None:
    for _ in range(count):
        number = writer.add_trial({"bits": 4}, seed=0).number
        writer.start_attempt(number, "w")
        writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, {"accuracy": 0.9}))
