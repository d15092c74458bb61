"""Every chart of every view shows a tooltip with the right numbers, and hovering breaks nothing."""

import re

import pytest

from src.Job import Job
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient
from tests.support.live import eventually
from tests.support.page import Watched
from tests.web import pixels
from tests.web.hovering import Hovered, charts, number_in

TIMES = {"wait": "wait_s", "service": "service_s"}
MESSAGES = {
    "probes": "probes",
    "reservations": "reservations",
    "no-ops": "no_ops",
    "cancellations": "cancellations",
    "offers": "pulled",
    "bounces": "bounced",
}
HISTORY = {
    "history-load": {"running": "running", "queued": "queued"},
    "history-rate": {"tasks/s": "tasks_per_s"},
    "history-p95": {"p95": "response_p95_s"},
}
VIEWS = {
    "#/": ["now-canvas", *HISTORY, *["methods-rows"] * len(METHODS), "times-canvas", "messages-canvas"],
    "#/methods": [*["methods-rows"] * len(METHODS), "times-canvas", "messages-canvas"],
    "#/history": list(HISTORY),
    "#/workers": ["now-canvas"],
    "#/workers/host3": ["worker"],
}


@pytest.fixture(scope="module")
def picture(lively, own_cluster):
    """What the server said while each of 8 workers ran a task and queued another: (stats, details of host3)."""
    with SparrowClient(own_cluster.nameserver) as one:
        ended = one.submit(Job.from_durations([3.0] * 8 + [0.0] * 8), "BATCH")

        def both():
            stats, worker = lively.get("/sparrow/stats"), lively.get("/sparrow/workers/host3")
            full = stats["history"]["queued"][-1] == 8 and all(row["load"] == 2 for row in stats["workers"].values())
            return full and worker["history"]["load"][-1] == 2 and (stats, worker)

        yield eventually(both)
        ended.result(10)


@pytest.fixture
def drawn(browser, lively, picture):
    """A function that opens a page to which the server says the same every second."""
    pages = []

    def open_one(fragment, **options):
        one = Watched(browser, lively.origin, **options)
        pages.append(one)
        stats, worker = picture
        one.context.route("**/sparrow/stats", lambda route: route.fulfill(json=stats, headers={"X-Next-Sample": "1.0"}))
        one.context.route("**/sparrow/workers/host3", lambda route: route.fulfill(json=worker))
        one.open(fragment)
        eventually(lambda: len(charts(one)) == len(VIEWS[fragment]))
        return one

    yield open_one
    for one in pages:
        one.context.close()
    for one in pages:
        one.check()


def expected(chart, picture, index):
    """The title, and the values by their labels, of what the chart shows at this index."""
    stats, worker = picture
    if chart == "now-canvas":
        name, row = list(stats["workers"].items())[index]
        return name, {"running": row["running"], "queued tasks": row["queued"]}
    if chart in HISTORY:
        return -stats["history"]["t"][index], {label: stats["history"][key][index] for label, key in HISTORY[chart].items()}
    if chart == "worker":
        return -worker["history"]["t"][index], {"load": worker["history"]["load"][index]}
    name, method = list(stats["methods"].items())[index]
    if chart == "times-canvas":
        return name, {label: method[key]["mean"] for label, key in TIMES.items()}
    assert chart == "messages-canvas"
    return name, {label: method["counts"].get(key, 0) / method["counts"]["tasks"] for label, key in MESSAGES.items()}


def hovered_points(chart, one, picture):
    """The indices to hover: the first and the last bar; of a line, its highest point."""
    size = one.size()
    if chart in ("now-canvas", "times-canvas", "messages-canvas"):
        return [0, size - 1]
    values = {i: list(expected(chart, picture, i)[1].values()) for i in range(size)}
    known = {i: sum(there) for i, there in values.items() if None not in there}
    return [max(known, key=known.__getitem__)]


@pytest.mark.parametrize(("fragment", "size"), [*((fragment, "desktop") for fragment in VIEWS), ("#/", "phone")])
def test_each_chart_of_a_view_shows_its_numbers_when_it_is_hovered(drawn, picture, fragment, size):
    one = drawn(fragment, size=size)
    shown = charts(one)
    assert shown == VIEWS[fragment]
    canvases = one.page.locator("canvas:visible")
    for i, chart in enumerate(shown):
        hovered = Hovered(one, canvases.nth(i))
        if chart == "methods-rows":  # the figures stand beside it
            before = hovered.pixels()
            hovered.point_at(hovered.middle())
            assert hovered.pixels() == before
            continue
        for index in hovered_points(chart, hovered, picture):
            title, values = expected(chart, picture, index)
            tooltip = hovered.tooltip(index)
            assert tooltip.values == pytest.approx(values, rel=0.01, abs=1e-9), (chart, index)
            if isinstance(title, str):
                assert tooltip.title == title
            else:
                assert re.fullmatch(r".+ ago", tooltip.title)
                assert number_in(tooltip.title) == pytest.approx(title, rel=0.01, abs=1e-9)


def test_a_tooltip_stays_while_the_page_is_drawn_again(drawn):
    one = drawn("#/")
    bars = one.page.locator("#now-canvas")
    hovered = Hovered(one, bars)
    hovered.point_at(hovered.middle())
    shown = "() => Chart.getChart('now-canvas').tooltip.opacity === 1"
    one.page.wait_for_function(shown)
    for _ in range(2):
        one.context.wait_for_event("response", lambda response: response.url.endswith("/sparrow/stats"))
    assert one.page.evaluate(shown)


@pytest.mark.parametrize("change", ["nothing", "movement", "no movement", "scheme"])
def test_bars_follow_the_load_also_after_they_were_hovered(still, picture, change):
    """Whatever the reader has set, and however often that has changed while the page was open."""
    stats, worker = picture
    one = still({"/sparrow/stats": (200, stats), "/sparrow/workers/host3": (200, worker)}, "#/workers")
    canvas = one.page.locator("#now-canvas")
    one.has("#workers-sub", "8 workers")
    if change in ("movement", "no movement"):
        one.page.emulate_media(reduced_motion="reduce")
    if change == "movement":
        one.page.emulate_media(reduced_motion="no-preference")
    if change == "scheme":
        one.page.emulate_media(color_scheme="dark")
    hovered = Hovered(one.watched, canvas)
    assert hovered.tooltip(2).values == {"running": 1, "queued tasks": 1}
    hovered.point_at(hovered.middle())
    for load in (4, 0, 2):
        for row in one.stats["workers"].values():
            row.update(load=load, queued=0, running=load)
        one.page.wait_for_function(
            "load => Chart.getChart('now-canvas').data.datasets[0].data.every(value => value === load)", arg=load
        )
        hovered.leave()
        lengths, each = pixels.bar(one.page, canvas, 5)
        assert lengths[0] == pytest.approx(load, abs=3 * each)


def test_an_idle_worker_says_so_when_it_is_hovered(still, picture):
    stats, _ = picture
    one = still({"/sparrow/stats": (200, stats)}, "#/workers")
    one.stats["workers"]["host2"].update(load=0, running=0, queued=0)
    one.page.wait_for_function("() => Chart.getChart('now-canvas')?.data.datasets[0].data[1] === 0")
    hovered = Hovered(one.watched, one.page.locator("#now-canvas"))
    hovered.point_at((hovered.place(1)[0], hovered.middle()[1]))
    told = "() => (({ title, body, opacity }) => opacity === 1 && [title, body[0]?.lines])(Chart.getChart('now-canvas').tooltip)"
    assert one.page.wait_for_function(told).json_value() == [["host2"], [" idle"]]
