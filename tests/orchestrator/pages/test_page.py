"""A person watches a sweep in a real browser, filters, compares, picks and exports."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.pages.guard import Access
from orchestrator.pages.serving import access_at
from tests.browser import Tab
from tests.orchestrator.pages.conftest import Driver

pytestmark = pytest.mark.slow

READY = "document.querySelector('main')?.dataset.ready"
ROWS = "[...document.querySelectorAll('.trials tbody tr')].map((row) => row.innerText)"


def opened(tab: Tab, address: str, view: str = "") -> None:
    tab.open(f"{address}/{view}")
    tab.wait(READY)


def heard(tab: Tab, *addresses: str) -> None:
    """Nothing was asked of another server, and nothing went wrong."""
    foreign = [url for url in tab.requested() if not url.startswith(addresses)]
    assert foreign == []
    assert tab.complaints() == []


def test_a_trial_arrives_on_the_page_of_a_running_sweep(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    address = serve(driver.store)
    opened(tab, address)
    assert "5 complete" in tab.text()
    assert "epoch 2 of 4" in tab.text()
    assert tab.run(f"{ROWS}.length") == 7
    driver.complete(6, 0.98, 70_000)
    driver.start({"bits": 3, "lr": 0.1, "policy": "none"}, epochs=1)
    # The trial, its attempt and its epoch are stored one after another, and may come so.
    for words in ("6 complete", "4 on the front", "epoch 1 of 4"):
        tab.wait(f"document.body.innerText.includes('{words}')")
    tab.wait(f"{ROWS}.length === 8")
    heard(tab, address)


def test_a_brush_on_an_axis_filters_everything_and_becomes_a_condition(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    address = serve(driver.store)
    opened(tab, address)
    tab.middle("canvas.over")
    tab.wait("document.querySelector('canvas.over').getAttribute('aria-label')")
    # The axis of the first parameter, bits, from its lower end to the middle.
    box = tab.run(
        "(() => { const b = document.querySelector('canvas.over').getBoundingClientRect();"
        " return [b.left, b.top, b.bottom]; })()"
    )
    x = box[0] + 58
    tab.drag((x, box[2] - 22), (x, (box[1] + 54 + box[2] - 22) / 2))
    tab.wait("document.querySelector('.chip')")
    tab.drawn()
    kept = tab.run(f"{ROWS}.length")
    assert 0 < kept < 7
    assert f"{kept} of 7 trials" in tab.text()
    tab.run("[...document.querySelectorAll('.chips button')].at(-1).click()")
    tab.wait("document.querySelector('#where').value.startsWith('bits >= 2 and bits <= ')")
    tab.wait(f"{ROWS}.length === {kept}")
    heard(tab, address)


def test_a_condition_is_read_as_the_command_line_reads_it(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    opened(tab, serve(driver.store))
    for text, count, front in (
        ("bits <= 6 and accuracy >= 0.5", 2, 1),
        ("policy == 'none'", 3, 2),
        ("state == 'failed'", 1, 0),
    ):
        tab.type("#where", text)
        tab.click(".filter button[type=submit]")
        tab.wait(f"document.body.innerText.includes('{count} of 7 trials. {front} on the front')")
        assert tab.wait(f"{ROWS}.length === {count}")
    tab.type("#where", "bitz <= 4")
    tab.click(".filter button[type=submit]")
    tab.wait("document.querySelector('#where-said').innerText.includes(\"'bits'\")")


def test_two_trials_are_compared_picked_and_exported(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    access = access_at("127.0.0.1", may_change=True)
    address = serve(driver.store, access=access)
    opened(tab, address, f"?token={access.token}")
    assert "token" not in tab.run("location.href")
    for trial in (1, 2):
        tab.click(f"input[aria-label='Select trial {trial}']")
    tab.click("#basket a")
    tab.wait("document.body.innerText.includes('Answers by class')")
    text = tab.text()
    assert "Trials 1 and 2" in text
    assert "n = 100" in text
    assert "head.0" in text
    assert "4 bit" in text
    assert "4 validation images" in text
    assert "94 of 100 right" in text
    assert tab.run("[...document.querySelectorAll('.differs th')].map((e) => e.innerText)") == [
        "bits",
        "lr",
        "policy",
    ]
    tab.type("#note-2", "small, and good enough")
    tab.run("document.querySelectorAll('.choose')[1].querySelector('button').click()")
    tab.wait("document.querySelector('.choose .badge.picked')")
    (choice,) = driver.store.choices("digits-fc")
    assert (choice.trial, choice.kind, choice.note) == (
        2,
        "picked",
        "small, and good enough",
    )
    link = tab.run("document.querySelector('a[href^=\"/trials.json\"]').href")
    records = json.loads(tab.run(f"fetch('{link}').then((answer) => answer.text())"))
    assert [(each["trial"], each.get("note")) for each in records] == [
        (1, None),
        (2, "small, and good enough"),
    ]
    heard(tab, address)


def test_a_trials_page_says_how_it_went_and_how_to_load_it(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    address = serve(driver.store)
    opened(tab, address, "#/trial/1")
    tab.wait("document.querySelectorAll('svg.curve').length === 2")
    text = tab.text()
    assert "paretune export digits-fc 1 --to network" in text
    assert "paretune pick digits-fc --trial 1" in text  # the page is read-only
    assert "predictions.npz" in text
    link = tab.run("document.querySelector('a[download]').href")
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - our own server
        file = Path(driver.store.trial("digits-fc", 1).artifact.path)
        assert answer.read() == file.read_bytes()
    tab.run("location.hash = '#/trial/5'")
    tab.wait("document.body.innerText.includes('a tensor is <b>bad</b>')")
    tab.run("location.hash = '#/trial/99'")
    tab.wait("document.querySelector('[role=alert].error')")
    assert "99" in tab.run("document.querySelector('main [role=alert]').innerText")


def test_a_page_says_when_its_sweep_is_gone(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    opened(tab, serve(driver.store))
    driver.writer.delete_sweep()
    tab.wait("!document.querySelector('#trouble').hidden")
    assert "digits-fc" in tab.run("document.querySelector('#trouble').innerText")


def test_a_page_that_may_change_nothing_stores_nothing(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    address = serve(driver.store)
    opened(tab, address)
    status = tab.run(
        "fetch('/api/choice', {method: 'POST', headers: {'content-type': 'application/json'},"
        " body: JSON.stringify({trial: 1, kind: 'picked', note: ''})}).then((a) => a.status)"
    )
    assert status == 403
    assert driver.store.choices("digits-fc") == []


@pytest.mark.parametrize(
    ("width", "is_dark"), [(1280, False), (1280, True), (400, False)], ids=str
)
def test_nothing_is_wider_than_the_window(
    driver: Driver, serve: Callable[..., str], tab: Tab, width: int, is_dark: bool
) -> None:
    tab.resize(width, 900)
    tab.dark(is_dark=is_dark)
    address = serve(driver.store, access=Access())
    for view in ("", "#/trial/1", "#/compare/0,1,2,3,4"):
        tab.open("about:blank")  # or the view of before would still be there
        opened(tab, address, view)
        tab.wait("document.querySelector('.panel')")
        assert tab.run("document.documentElement.scrollWidth <= innerWidth")
