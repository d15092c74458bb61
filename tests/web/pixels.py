"""What a chart shows, measured in its pixels, to be compared with the numbers that it was given."""

# Waits until the chart has drawn what it has: after a change of its size its canvas is empty until the next frame.
DRAWN = """async canvas => {
    while (Chart.animator.running(Chart.getChart(canvas))) await new Promise(requestAnimationFrame);
}"""
# The colours of a row or column of a canvas's pixels. `along` is "x" or "y", `at` the other coordinate; the result begins at 0.
STRIP = """(canvas, along, at) => {
    const scale = Chart.getChart(canvas).currentDevicePixelRatio;
    const [width, height] = along === "x" ? [canvas.width, 1] : [1, canvas.height];
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, along === "x" ? 0 : -Math.floor(at * scale), along === "x" ? -Math.floor(at * scale) : 0);
    const data = copy.getImageData(0, 0, width, height).data;
    return Array.from({ length: width * height }, (_, i) => [...data.slice(4 * i, 4 * i + 4)]);
}"""
COLOUR = """text => {
    const pen = new OffscreenCanvas(1, 1).getContext("2d");
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
}"""
APART = "(one, other) => Math.max(...one.map((part, i) => Math.abs(part - other[i])))"

# Of a bar chart, of the bar with this index: how long the part of each series is, in the unit of the axis; of a series that is
# not of one colour, null. And what a pixel is worth.
BAR = f"""async ([canvas, index]) => {{
    await ({DRAWN})(canvas);
    const chart = Chart.getChart(canvas);
    const along = chart.options.indexAxis === "y" ? "x" : "y";
    const across = along === "x" ? "y" : "x";
    const axis = chart.scales[along];
    const scale = chart.currentDevicePixelRatio;
    const each = Math.abs(axis.getValueForPixel(100) - axis.getValueForPixel(101)) / scale;
    const {{ left, right, top, bottom }} = chart.chartArea;
    const [from, to] = (along === "x" ? [left, right] : [top, bottom]).map(px => Math.round(px * scale));
    const lengths = chart.data.datasets.map((set, i) => {{
        if (typeof set.backgroundColor !== "string") return null;
        const wanted = ({COLOUR})(set.backgroundColor);
        const strip = ({STRIP})(canvas, along, chart.getDatasetMeta(i).data[index][across]);
        return strip.slice(from, to).filter(pixel => ({APART})(pixel, wanted) < 24).length * each;
    }});
    return {{ lengths, each }};
}}"""

# Of a line chart: the value at which the line with this number is drawn at the point with this index (between it and the next
# if the line is stepped), and what a pixel is worth. The line is where its colour is matched best.
LINE = f"""async ([canvas, number, index]) => {{
    await ({DRAWN})(canvas);
    const chart = Chart.getChart(canvas);
    const set = chart.data.datasets[number];
    const points = chart.getDatasetMeta(number).data;
    const x = set.stepped ? (points[index].x + points[index + 1].x) / 2 : points[index].x;
    const wanted = ({COLOUR})(set.borderColor);
    const apart = ({STRIP})(canvas, "y", x).map(pixel => ({APART})(pixel, wanted));
    const found = apart.indexOf(Math.min(...apart));
    const axis = chart.scales.y;
    const each = Math.abs(axis.getValueForPixel(100) - axis.getValueForPixel(101));
    return {{ value: axis.getValueForPixel((found + 0.5) / chart.currentDevicePixelRatio), each, apart: apart[found] }};
}}"""

# Of a chart of a distribution: where its vertical marks stand, as ratios.
MARKS = f"""async canvas => {{
    await ({DRAWN})(canvas);
    const chart = Chart.getChart(canvas);
    const ink = ({COLOUR})(getComputedStyle(document.documentElement).getPropertyValue("--text").trim());
    const strip = ({STRIP})(canvas, "x", chart.chartArea.top + 1.5);
    const near = strip.map((pixel, x) => [({APART})(pixel, ink), x]).filter(([apart]) => apart < 60);
    return near.map(([, x]) => 10 ** (chart.scales.x.getValueForPixel((x + 0.5) / chart.currentDevicePixelRatio) / 20));
}}"""


def bar(page, canvas, index):
    """([the length of each series' part], what a pixel is worth) of a bar."""
    found = page.evaluate(BAR, [canvas.element_handle(), index])
    return found["lengths"], found["each"]


def line(page, canvas, number, index):
    """(value, what a pixel is worth) of a line at one of its points."""
    found = page.evaluate(LINE, [canvas.element_handle(), number, index])
    assert found["apart"] < 90, "the line is not there"
    return found["value"], found["each"]


def marks(page, canvas):
    """The ratios at which a distribution's vertical marks stand, one for each pixel."""
    return page.evaluate(MARKS, canvas.element_handle())
