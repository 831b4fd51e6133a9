"""Tables on a page: HTML for the eye, the same as text for a terminal."""

import colorsys
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from matplotlib.figure import Figure

from gnet_utils import plotting
from gnet_utils.counting import format_table

ROWS = [("3a", 163_328, "0.50%"), ("naive <3a>", 387_072, "12.25%")]
HEADERS = ["block", "weights", "share"]


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    seen = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: seen.append(bundle))
    return seen


def test_a_table_is_html_with_its_text_beside_it(shown):
    plotting.show_table(ROWS, HEADERS)
    (bundle,) = shown
    assert bundle["text/plain"] == format_table(ROWS, HEADERS)
    page = bundle["text/html"]
    assert page.count("<tr>") == 3 and page.count("<th ") == 3 and page.count("<td ") == 6
    assert ">163,328</td>" in page and "naive &lt;3a&gt;" in page


def test_numbers_stand_on_the_right_under_each_other_and_never_break(shown):
    plotting.show_table(ROWS, HEADERS)
    cells = shown[0]["text/html"].split("<td ")[1:]
    sides = [cell.split("text-align: ")[1].split(";")[0] for cell in cells]
    assert sides == ["left", "right", "right"] * 2  # a share is text, and a number all the same
    assert all("white-space: nowrap" in cell for cell in cells)


def test_decimals_have_room_behind_them_so_that_their_points_align(shown):
    rows = [(0, "34M", "1.5 ± 0.1", ""), (0.25, "34.02M", "12.5 ± 0.2", "7x7")]
    plotting.show_table(rows, ["share", "ops", "gain", "kernel"])
    cells = re.findall(r"<td [^>]*>([^<]*)</td>", shown[0]["text/html"])
    digits, point = "\u2007\u2007", "\u2008"
    assert cells[:4] == [f"0{point}{digits}", f"34M{point}{digits}", "1.5 ± 0.1", ""]
    assert cells[4:] == ["0.25", "34.02M", "12.5 ± 0.2", "7x7"]


def test_a_row_of_another_length_is_refused(shown):
    with pytest.raises(ValueError, match="must have 3 values"):
        plotting.show_table([(1, 2)], HEADERS)
    assert shown == []


def test_red_is_no_second_orange():
    def hue(name):
        code = plotting.COLOURS[name]
        return 360 * colorsys.rgb_to_hsv(*(int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)))[0]

    assert hue("red") < 15 and hue("orange") > 35


def test_two_threads_draw_each_its_own_figure():
    def draw(number: int) -> bytes:
        figure = Figure(figsize=(4, 2))
        figure.subplots().plot(range(number), label=f"{number} points")
        return plotting.to_png(figure)

    numbers = [2, 5] * 8
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, numbers))
    assert together == [draw(number) for number in numbers]
