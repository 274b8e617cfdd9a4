"""What every store promises where very many trials are asked about: the same as trial by trial."""

from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.testing.columns_contract import fill_columns
from orchestrator.trials import REFERENCE_ATTRS, Artifact, Outline, TrialState


class OverviewsContract:
    """Part of `StoreContract`; the fixtures ``store`` and ``writer`` are those of its others."""

    def test_all_sweeps_are_counted_at_once(self, store: Store, writer: SweepWriter) -> None:
        store.create_sweep("empty", {}, "f")
        fill_columns(writer, 9)
        writer.add_trial({}, seed=0)
        counted = store.count_all()
        assert counted == {name: store.count_states(name) for name in ("a", "empty")}
        assert list(counted["a"]) == list(store.count_states("a"))

    def test_outlines_are_those_of_the_trials(self, store: Store, writer: SweepWriter) -> None:
        fill_columns(writer, 9)
        writer.add_trial({"bits": 4}, seed=0)
        wanted = (TrialState.STOPPED, TrialState.WAITING)
        expected = [Outline(t.number, t.state, t.params) for t in store.trials("a", wanted)]
        assert len(expected) > 1
        assert store.outlines("a", wanted) == expected

    def test_attempts_and_networks_are_listed_by_trial(
        self, store: Store, writer: SweepWriter
    ) -> None:
        store.create_sweep("b", {}, "f")
        fill_columns(store.take("b", "w"), 2)
        for number in range(3):
            writer.add_trial({}, seed=0)
            writer.start_attempt(number, "first")
        writer.finish_attempt(0, 0, Outcome(TrialState.INTERRUPTED))
        writer.start_attempt(0, "second")
        artifact = Artifact("/elsewhere/model.safetensors", 8, "0" * 64)
        writer.finish_attempt(0, 1, Outcome(TrialState.COMPLETE, {}, artifact=artifact))
        writer.add_trial({}, seed=0)
        assert store.all_attempts("a") == {n: store.attempts("a", n) for n in range(3)}
        assert store.artifacts("a") == {0: artifact}

    def test_references_are_found(self, store: Store, writer: SweepWriter) -> None:
        for attrs in ({"origin": "reference"}, {}, REFERENCE_ATTRS, {"reference": "no"}):
            writer.add_trial({}, seed=0, sampler_attrs=attrs)
        assert [trial.number for trial in store.references("a")] == [2]
