"""Hovering a chart as a reader does: moving the mouse onto a bar or a point, and reading the tooltip and its pixels."""

import re
from typing import NamedTuple

UNITS = {"": 1.0, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
NUMBER = re.compile(r"([0-9][0-9.,]*)(?: (µs|ms|s|min)\b)?")

CHARTS = """() => [...document.querySelectorAll("canvas")].filter(canvas => canvas.checkVisibility()).map(canvas =>
    canvas.id || canvas.closest("[id]").id)"""
PLACES = """canvas => { const { data, chartArea } = Chart.getChart(canvas);
    return [data.datasets[0].data.length, [(chartArea.left + chartArea.right) / 2, (chartArea.top + chartArea.bottom) / 2]] }"""
PLACE = """([canvas, index]) => {
    const chart = Chart.getChart(canvas);
    const drawn = chart.data.datasets.map((set, i) => [set.data[index], chart.getDatasetMeta(i).data[index]]);
    const [, element] = drawn.find(([value]) => (value.y ?? value) > 0) ?? drawn[0];
    const { x, y } = element.getCenterPoint();
    return [x, y];
}"""
# The pixel of a canvas, read from a copy: reading the canvas itself again and again is warned of on the console.
PIXEL = """([canvas, [x, y]]) => {
    const scale = Chart.getChart(canvas).currentDevicePixelRatio;
    const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, -Math.floor(x * scale), -Math.floor(y * scale));
    return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""
# The tooltip that is shown, or null; `at` is a place within its left padding, where no text is, and `inside` the colour there.
TOOLTIP = f"""canvas => {{
    const {{ tooltip }} = Chart.getChart(canvas);
    if (!tooltip || tooltip.opacity < 1) return null;
    const at = [tooltip.x + 4, tooltip.y + tooltip.height / 2];
    const lines = tooltip.body.flatMap(({{ lines }}) => lines);
    return {{ title: tooltip.title.join(""), lines, at, inside: ({PIXEL})([canvas, at]) }};
}}"""
TIP_COLOUR = """() => {
    const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue("--tip").match(/[0-9a-f]{2}/g);
    return [r, g, b].map(part => parseInt(part, 16));
}"""


class Tooltip(NamedTuple):
    title: str
    values: dict  # label -> number; times in seconds


class Hovered:
    """A canvas with a chart."""

    def __init__(self, watched, canvas):
        self.page, self.canvas = watched.page, canvas
        self._handle = canvas.element_handle()

    def size(self):
        """How many bars or points its first series has."""
        return self.page.evaluate(PLACES, self._handle)[0]

    def middle(self):
        """The middle of its chart area, in pixels of the canvas."""
        return self.page.evaluate(PLACES, self._handle)[1]

    def place(self, index):
        """Where the bar or point with this index is, in pixels of the canvas."""
        return self.page.evaluate(PLACE, [self._handle, index])

    def point_at(self, place):
        x, y = place
        self.canvas.hover(position={"x": x, "y": y})

    def leave(self):
        self.page.mouse.move(0, 0)
        self.page.wait_for_function("canvas => !(Chart.getChart(canvas).tooltip?.opacity > 0)", arg=self._handle)

    def pixels(self):
        return self.canvas.screenshot()

    def tooltip(self, index):
        """The tooltip of the bar or point with this index, which must have appeared as pixels too."""
        self.leave()
        self.point_at(self.place(index))
        shown = self.page.wait_for_function(TOOLTIP, arg=self._handle).json_value()
        self.leave()
        without = self.page.evaluate(PIXEL, [self._handle, shown["at"]])
        assert shown["inside"] == self.page.evaluate(TIP_COLOUR) != without
        return Tooltip(shown["title"], dict(map(labelled, shown["lines"])))


def charts(watched):
    """What is shown: the id of each chart's canvas, or of what it is in."""
    return watched.page.evaluate(CHARTS)


def labelled(line):
    """(label, number) of a tooltip's line, such as " 12.3 ms wait"."""
    return NUMBER.sub("", line, count=1).strip(), number_in(line)


def number_in(text):
    """The first number of a text; one with a unit of time is in seconds."""
    digits, unit = NUMBER.findall(text)[0]
    return float(digits.replace(",", "")) * UNITS[unit]
