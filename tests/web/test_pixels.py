"""What is drawn is what the server said: charts, heat grid and timeline are measured, and compared with the numbers."""

import math

import pytest

from tests.web import pixels

SERIES = ("running", "queued", "reservations")
LOADS = {"host1": (1, 0, 0), "host2": (2, 3, 1), "host3": (0, 0, 4), "host4": (0, 0, 0), "host5": (1, 12, 0)}
HISTORY = {"load": ["running", "queued"], "rate": ["tasks_per_s"], "p95": ["response_p95_s"]}
LEVELS = {0: 0, 1: 1, 3: 1, 4: 2, 7: 3, 8: 4, 15: 5, 16: 6, 40: 6}  # load of a worker with four slots -> its level


@pytest.fixture(scope="module")
def stats(lively):
    """A real answer, in which the workers have LOADS, one is gone and one silent, and the history is a staircase."""
    found = lively.get("/sparrow/stats")
    for name, row in found["workers"].items():
        running, queued, reservations = LOADS.get(name, (0, 0, 0))
        row.update(running=running, queued=queued, reservations=reservations, load=running + queued + reservations, slots=2)
    for name, state in (("host6", "gone"), ("host7", "silent")):
        found["workers"][name].update(state=state, since=found["now"] - 5, reason="it does not answer")
    steps = [i // 5 for i in range(40)]
    found["history"] = {
        "t": [2.0 * i - 78 for i in range(40)],
        "running": steps,
        "queued": [9 - step for step in steps],
        "tasks_per_s": [2.5 * step for step in steps],
        "response_p95_s": [None if step < 3 else 0.1 * step for step in steps],
        "workers": [8] * 40,
    }
    return found


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_bars_are_as_long_as_the_numbers_say(still, stats, size, scheme):
    one = still({"/sparrow/stats": (200, stats)}, "#/", size=size, scheme=scheme)
    one.page.wait_for_selector("body[data-ready]")
    canvas = one.page.locator("#now-canvas")
    for index, (name, row) in enumerate(stats["workers"].items()):
        lengths, each = pixels.bar(one.page, canvas, index)
        expected = [row[key] for key in SERIES]
        assert lengths[:3] == pytest.approx(expected, abs=3 * each), name
    for id, keys in (
        ("times", [lambda m: m["wait_s"]["mean"], lambda m: m["service_s"]["mean"]]),
        ("messages", [lambda m, k=k: m["counts"].get(k, 0) / m["counts"]["tasks"] for k in MESSAGES]),
    ):
        canvas = one.page.locator(f"#{id}-canvas")
        for index, method in enumerate(stats["methods"].values()):
            lengths, each = pixels.bar(one.page, canvas, index)
            assert lengths == pytest.approx([key(method) for key in keys], abs=3 * each), (id, index)


MESSAGES = ("probes", "reservations", "no_ops", "cancellations", "pulled", "bounced")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_are_as_high_as_the_numbers_say(still, stats, scheme):
    one = still({"/sparrow/stats": (200, stats)}, "#/history", scheme=scheme)
    one.page.wait_for_selector("body[data-ready]")
    for id, keys in HISTORY.items():
        canvas = one.page.locator(f"#history-{id} canvas")
        for index in (17, 22, 32):  # in the middle of a step of the staircase
            below = 0.0
            for number, key in enumerate(keys):
                value, each = pixels.line(one.page, canvas, number, index)
                below += stats["history"][key][index]
                assert value == pytest.approx(below, abs=2 * each), (id, key, index)


def test_distributions_and_their_marks_stand_where_the_numbers_say(still, stats):
    one = still({"/sparrow/stats": (200, stats)}, "#/methods")
    one.page.wait_for_selector("body[data-ready]")
    for index, (name, method) in enumerate(stats["methods"].items()):
        canvas = one.page.locator(".method-row canvas").nth(index)
        slowdown = method["slowdown"]
        shares = one.page.evaluate(SHARES, canvas.element_handle())
        highest = max(range(len(shares) - 1), key=shares.__getitem__)
        value, each = pixels.line(one.page, canvas, 0, highest)
        assert value == pytest.approx(shares[highest], abs=2 * each), name
        assert math.fsum(shares) == pytest.approx(1.0)
        found = pixels.marks(one.page, canvas)
        for quantile in ("p50", "p95"):
            nearest = min(found, key=lambda at: abs(at - slowdown[quantile]))
            assert nearest == pytest.approx(max(1.0, slowdown[quantile]), rel=0.02), (name, quantile)


SHARES = "canvas => Chart.getChart(canvas).data.datasets[0].data.map(point => point.y)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_cell_of_the_heat_grid_has_the_colour_that_the_legend_explains(still, stats, scheme):
    one = still({"/sparrow/stats": (200, stats)}, "#/workers", scheme=scheme)
    like = {**stats["workers"]["host1"], "slots": 4}
    for load in LEVELS:
        for copy in range(8):
            one.stats["workers"][f"load{load}.{copy}"] = {**like, "load": load, "running": min(load, 4)}
    one.page.wait_for_selector("#now-grid a")
    colours = """selector => Object.fromEntries([...document.querySelectorAll(selector)].map(node =>
        [node.title || node.textContent, getComputedStyle(node.firstElementChild ?? node).backgroundColor]))"""
    cells = one.page.evaluate(colours, "#now-grid a")
    legend = one.page.evaluate(colours, "#now-legend li")
    assert len(legend) == 8  # seven levels, and what is not up
    by_level = list(legend.values())[:7]
    assert len(set(by_level)) == 7
    for load, level in LEVELS.items():
        running = min(load, 4)
        assert cells[f"load{load}.0: {running} running, {load - running} waiting"] == by_level[level]
    assert list(legend)[7] == "gone or silent"
    assert cells["host6: gone"] not in by_level


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_bars_of_a_timeline_are_as_long_as_the_numbers_say(still, stats, lively, size):
    job = next(row["id"] for row in stats["jobs"] if row["state"] == "done")
    details = lively.get(f"/sparrow/jobs/{job}")
    one = still({"/sparrow/stats": (200, stats), f"/sparrow/jobs/{job}": (200, details)}, f"#/jobs/{job}", size=size)
    one.page.wait_for_selector(".timeline")
    drawn = """kind => [...document.querySelectorAll(`.timeline > rect.${kind}`)].map(bar => {
        const { left, width } = bar.getBoundingClientRect();
        return [Number(bar.textContent.match(/\\d+/)[0]), left, width];
    })"""
    rows = details["tasks"]
    served = {number: (left, width) for number, left, width in one.page.evaluate(drawn, "serve")}
    assert sorted(served) == list(range(len(rows)))
    longest = max(served, key=lambda number: rows[number]["service_s"])
    scale = served[longest][1] / rows[longest]["service_s"]
    origin = served[longest][0] - scale * rows[longest]["started_s"]
    for number, (left, width) in served.items():
        assert left == pytest.approx(origin + scale * rows[number]["started_s"], abs=1.5)
        assert width == pytest.approx(scale * rows[number]["service_s"], abs=2.5)
