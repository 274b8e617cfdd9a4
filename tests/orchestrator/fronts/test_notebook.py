"""What a notebook shows of a front and its members."""

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import plotly.graph_objects as go

from orchestrator.fronts.front import compute_front
from orchestrator.fronts.notebook import front_html, member_html
from orchestrator.objectives import Objective
from orchestrator.trials import Trial

HOSTILE = "<script>alert('x')</script>\"'&"


class Tags(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_a_front_shows_its_members_and_where_they_are(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    front = compute_front(trials, objectives[:3])
    shown = Tags(front._repr_html_())
    # Three members and one beaten trial; a heading and a row for each member.
    assert shown.tags.count("circle") == 4
    assert shown.tags.count("tr") == 4
    assert "22.4 kB" in shown.text
    assert "bits=8" in shown.text


def test_nothing_that_a_person_named_becomes_a_tag(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    named = [replace(each, sweep=HOSTILE, params={HOSTILE: HOSTILE}) for each in trials]
    front = compute_front(named, objectives[:3])
    for page in (front_html(front), member_html(front[0], reason=HOSTILE)):
        shown = Tags(page)
        assert "script" not in shown.tags
        assert HOSTILE in shown.text


def test_one_objective_or_none_measured_has_no_drawing(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    assert "svg" not in Tags(front_html(compute_front(trials, objectives[:1]))).tags
    assert Tags(front_html(compute_front([], objectives))).tags == ["p"]


def test_a_long_front_says_how_many_are_not_listed(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    many = [replace(trials[0], number=number) for number in range(30)]
    front = compute_front(many, objectives[:2])
    assert Tags(front_html(front)).tags.count("tr") == 21
    assert "and 10 more" in front_html(front)
    assert "and 10 more" in repr(front)


def test_a_plot_without_a_path_is_the_figure_that_the_page_has(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    figure = compute_front(trials, objectives[:2]).plot()
    assert isinstance(figure, go.Figure)
    assert "Pareto front" in figure.layout.title.text
