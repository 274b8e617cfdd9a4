"""What every scheduler promises. Subclass `SchedulerContract` and give yours as the fixture.

```python
class TestMine(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return MyScheduler(epochs=9)
```
"""

import copy
import random

import pytest

from orchestrator.contracts import Decision, Scheduler

Peers = dict[int, dict[str, float]]


def _history(seed: int) -> Peers:
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    numbers = rng.sample(range(50), rng.randint(1, 12))
    return {
        number: {
            "accuracy": rng.choice([0.1, 0.5, rng.random()]),
            "robust_accuracy": rng.random(),
            "memory_bytes": float(rng.randint(1, 9)),
        }
        for number in numbers
    }


class SchedulerContract:
    """Promises of `orchestrator.contracts.Scheduler`; values are two accuracies and a size."""

    @pytest.fixture(params=range(5))
    def peers(self, request: pytest.FixtureRequest) -> Peers:
        """Return the values of some trials at one milestone."""
        return _history(request.param)

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """Return the scheduler under test, for trials of at least eight epochs."""
        raise NotImplementedError("give a fixture `scheduler` that returns yours.")

    def test_milestones_are_epochs_in_ascending_order(self, scheduler: Scheduler) -> None:
        milestones = list(scheduler.milestones)
        assert milestones == sorted(set(milestones))
        assert all(type(epoch) is int and epoch >= 1 for epoch in milestones)

    def test_it_answers_for_every_trial(self, scheduler: Scheduler, peers: Peers) -> None:
        for epoch in scheduler.milestones:
            for trial in peers:
                assert Decision(scheduler.decide(trial, epoch, peers)) in tuple(Decision)

    def test_the_same_question_has_the_same_answer(
        self, scheduler: Scheduler, peers: Peers
    ) -> None:
        # It holds no state: a resumed sweep asks again, and about other trials in between.
        for epoch in scheduler.milestones:
            first = {trial: scheduler.decide(trial, epoch, peers) for trial in peers}
            scheduler.decide(0, epoch, {0: {"accuracy": 0.2}})
            again = {trial: scheduler.decide(trial, epoch, peers) for trial in reversed(peers)}
            assert again == first

    def test_the_order_of_the_peers_does_not_matter(
        self, scheduler: Scheduler, peers: Peers
    ) -> None:
        turned = dict(reversed(peers.items()))
        for epoch in scheduler.milestones:
            for trial in peers:
                asked = (scheduler.decide(trial, epoch, each) for each in (peers, turned))
                assert len(set(asked)) == 1

    def test_a_trial_of_which_nothing_is_known_has_an_answer(self, scheduler: Scheduler) -> None:
        for epoch in scheduler.milestones:
            assert Decision(scheduler.decide(3, epoch, {3: {}})) in tuple(Decision)

    def test_it_orders_all_trials(self, scheduler: Scheduler, peers: Peers) -> None:
        assert sorted(scheduler.best_first(peers)) == sorted(peers)

    def test_values_are_not_changed(self, scheduler: Scheduler, peers: Peers) -> None:
        before = copy.deepcopy(peers)
        for epoch in scheduler.milestones:
            scheduler.decide(next(iter(peers)), epoch, peers)
        scheduler.best_first(peers)
        assert peers == before
