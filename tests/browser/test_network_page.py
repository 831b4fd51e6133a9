"""The page on which a net runs, in Chromium: what it says is what PyTorch says.

The page is opened from disk and from a server. Its runtime comes from the npm registry at the first
run, into the cache; where it cannot be had, one line says so.
"""

import functools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from test_accessibility import RUN, axe  # noqa: F401 - a fixture

from gnet_utils.base import CourseError
from gnet_utils.course.site import network
from gnet_utils.data import load_fashion_mnist, opencv, to_float
from gnet_utils.explorers.n05 import as_the_net_sees, drawn_shirt, probabilities
from gnet_utils.pad import drawn
from gnet_utils.pictures import PICTURES, decode_picture, load_picture
from gnet_utils.plotting import BRANCHES
from gnet_utils.probing import ablate, branch_names
from gnet_utils.runs import load_trained

pytestmark = pytest.mark.browser
SHELL = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The network</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<style>
body { font-family: sans-serif; max-width: 800px; margin: 1em auto; padding: 0 1em }
@media (prefers-color-scheme: dark) { body { background: #131416; color: #ced6dd } }
</style></head><body><main><h1>The network in your browser</h1>
%s</main></body></html>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the page; it holds 50 test pictures, five of each class."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "PICTURES_OF_EACH_CLASS", 5)
        try:
            html = network.fragment("", network.write(folder))
        except CourseError as error:
            pytest.skip(f"THE NETWORK IN THE PAGE WAS NOT CHECKED: {error}")
    (folder / "network.html").write_text(SHELL % html, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[str]:
    """The address of a static host of the page."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    host = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=host.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{host.server_port}/network.html"
    host.shutdown()


@pytest.fixture(scope="module")
def page(browser, site: Path) -> Iterator:
    """The page from disk, its network running."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    start(page, (site / "network.html").as_uri())
    yield page
    page.close()


def start(page, address: str) -> None:
    page.goto(address)
    page.click("text=Start the network")
    settled(page, timeout=60_000)


def settled(page, timeout: int = 20_000) -> None:
    """Return when the page has answered."""
    page.wait_for_selector("#gnet-network[aria-busy=false]", timeout=timeout)


def said(page) -> np.ndarray:
    """The ten probabilities on the page."""
    shares = "lines => lines.map(line => Number(line.style.getPropertyValue('--now')))"
    return np.array(page.eval_on_selector_all(".list li", shares))


def seen(page) -> np.ndarray:
    """The 28x28 pixels on the page."""
    pixels = page.eval_on_selector(
        ".seen", "c => Array.from(c.getContext('2d').getImageData(0, 0, 28, 28).data)"
    )
    return np.array(pixels).reshape(28, 28, 4)[:, :, 0]


def trouble(page) -> str:
    return page.inner_text(".trouble")


def give(page, path: Path) -> None:
    page.set_input_files(".photo", path)
    settled(page)


@pytest.mark.parametrize(
    ("place", "name"), [("disk", "minute-seed0"), ("host", "five_minutes-seed0")]
)
def test_on_50_test_pictures_the_page_says_what_pytorch_says(browser, site, server, place, name):
    address = server if place == "host" else (site / "network.html").as_uri()
    context = browser.new_context()
    page, asked, troubles = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    start(page, address)
    page.select_option(".net", name)
    settled(page)
    context.set_offline(True)

    images, labels = load_fashion_mnist("test")
    chosen = torch.cat([(labels == kind).nonzero()[:5, 0] for kind in range(10)])
    expected = probabilities(load_trained(name)[0], images[chosen]).numpy()
    buttons = page.locator(".stored button")
    assert buttons.count() == len(expected) == 50
    for number in range(50):
        buttons.nth(number).click()
        settled(page)
        assert (seen(page) == images[chosen[number], 0].numpy()).all()
        assert np.abs(said(page) - expected[number]).max() < 1e-3
    folder = address.removesuffix("network.html")
    assert [url for url in asked if not url.startswith((folder, "blob:", "data:"))] == []
    assert troubles == []
    context.close()


@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_switched_off_branches_change_the_page_as_they_change_the_net(page, block, everywhere):
    page.click(".stored button >> nth=31")
    page.select_option(".block", label=block)
    page.set_checked(".everywhere", everywhere)
    net = load_trained("minute-seed0")[0]
    images, labels = load_fashion_mnist("test")
    picture = to_float(images[labels == 6][1:2])
    whole = net(picture).softmax(1)[0]
    for branch in BRANCHES:
        page.uncheck(f".branches label:has-text('{branch}:') input")
        settled(page)
        names = [n for n in branch_names(net, branch) if everywhere or f"_{block}." in n]
        with ablate(net, names):
            expected = net(picture).softmax(1)[0].detach().numpy()
        assert np.abs(said(page) - expected).max() < 1e-3
        note = page.inner_text(f".branches label:has-text('{branch}:') output")
        with ablate(net, [f"inception_{block}.branch_{branch}"]):
            alone = net(picture).softmax(1)[0, whole.argmax()]
        assert note.endswith(f"{100 * whole.max():.0f}% → {100 * alone:.0f}%")
        page.check(f".branches label:has-text('{branch}:') input")
    page.uncheck(".everywhere")
    settled(page)


def test_the_maps_are_those_of_the_block(page):
    page.select_option(".block", label="4a")
    page.click(".stored button >> nth=0")
    settled(page)
    sizes = page.eval_on_selector_all(
        ".branches canvas", "all => all.map(c => [c.width, c.height])"
    )
    assert sizes == [[7 * 8 - 1, 7]] * 4
    first = "c => Array.from(c.getContext('2d').getImageData(0, 0, 7, 7).data)"
    before = page.eval_on_selector(".branches canvas >> nth=2", first)
    page.uncheck(".branches input >> nth=2")
    settled(page)
    off = page.eval_on_selector(".branches canvas >> nth=2", first)
    assert before[:4] * 49 != before and off[:4] * 49 == off  # all of it in one colour
    page.check(".branches input >> nth=2")
    settled(page)


# What the net sees --------------------------------------------------------------------------------


def two_shoes() -> np.ndarray:
    """Two shoes in colour on a ground that is darker on one side, with a crumb and a cut edge."""
    cv2 = opencv()
    light = np.linspace(250, 190, 400)[None, :, None]
    paper = np.broadcast_to(light, (300, 400, 3)).astype(np.uint8).copy()
    for left in (60, 220):
        cv2.ellipse(paper, (left + 50, 150), (60, 30), 20, 0, 360, (90, 40, 160), -1, cv2.LINE_AA)
    cv2.circle(paper, (200, 40), 2, (0, 0, 0), -1)
    paper[290:, 350:] = 20
    return paper


def small_garment() -> np.ndarray:
    """15 x 9 pixels, which are made larger."""
    paper = np.full((90, 120, 3), 240, np.uint8)
    paper[30:45, 50:59] = np.random.default_rng(0).integers(0, 150, (15, 9, 3))
    return paper


def see_through() -> np.ndarray:
    """A garment with soft edges on nothing, RGBA."""
    picture = np.zeros((200, 200, 4), np.uint8)
    picture[50:150, 70:130] = (30, 90, 200, 255)
    picture[:, :, 3] = opencv().GaussianBlur(picture[:, :, 3], (9, 9), 0)
    return picture


MADE: dict[str, Callable[[], np.ndarray]] = {
    "shirt": drawn_shirt,
    "shoes": two_shoes,
    "small": small_garment,
    "see-through": see_through,
}


@pytest.mark.parametrize("name", [*MADE, "market", "plate", "readme_block"])
def test_a_picture_is_prepared_as_in_the_course(page, tmp_path, name):
    path = PICTURES / f"{name}.png"
    if name in MADE:
        cv2, path, picture = opencv(), tmp_path / f"{name}.png", MADE[name]()
        code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
        cv2.imwrite(str(path), cv2.cvtColor(picture, code))
    give(page, path)
    assert trouble(page) == ""
    expected = as_the_net_sees(load_picture(path)).astype(int)
    assert expected.std() > 10
    assert np.abs(seen(page) - expected).max() <= 1


def test_a_large_photo_is_made_smaller_nearly_as_in_the_course(page, tmp_path):
    cv2, path = opencv(), tmp_path / "photo.jpg"
    photo = cv2.resize(two_shoes(), (2400, 1800), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    give(page, path)
    difference = np.abs(seen(page) - as_the_net_sees(load_picture(path)).astype(int))
    assert difference.mean() < 1 and difference.max() <= 16  # the browser scales in its own way


def test_a_drawing_is_prepared_as_in_the_course(page):
    page.click("text=new sheet")
    canvas = page.locator(".sheet canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    corners = [(0.2, 0.3), (0.5, 0.25), (0.8, 0.3), (0.75, 0.8), (0.25, 0.82)]
    for number, (x, y) in enumerate(corners):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    settled(page)
    sheet = drawn(page.eval_on_selector(".sheet canvas", "c => c.toDataURL()"))
    expected = as_the_net_sees(sheet)
    assert trouble(page) == "" and np.abs(seen(page) - expected.astype(int)).max() <= 1
    net = load_trained("minute-seed0")[0]
    chances = probabilities(net, torch.from_numpy(expected)[None, None])[0].numpy()
    assert np.abs(said(page) - chances).max() < 0.05  # a level of gray may differ


# What can go wrong --------------------------------------------------------------------------------


def test_what_is_no_picture_is_one_sentence_and_the_next_one_works(page, tmp_path):
    (tmp_path / "essay.png").write_text("no picture")
    give(page, tmp_path / "essay.png")
    assert trouble(page) == (
        "essay.png is no picture that this browser can open: choose a JPEG or PNG file"
    )
    assert not page.is_visible(".result")
    page.click(".stored button >> nth=3")
    settled(page)
    assert trouble(page) == "" and page.is_visible(".result")


def test_an_empty_picture_and_an_empty_sheet_are_one_sentence(page, tmp_path):
    opencv().imwrite(str(tmp_path / "white.png"), np.full((50, 50, 3), 255, np.uint8))
    give(page, tmp_path / "white.png")
    sentence = "nothing stands out from the border: put one garment on a plain ground"
    assert trouble(page) == sentence
    with pytest.raises(ValueError, match=sentence):  # as the course says
        as_the_net_sees(decode_picture((tmp_path / "white.png").read_bytes()))
    page.click("text=new sheet")
    settled(page)
    assert trouble(page).startswith("The sheet is empty: draw one garment")
    assert not page.is_visible(".result")


def test_without_webassembly_one_sentence_says_so(browser, site):
    page = browser.new_page()
    page.add_init_script("delete window.WebAssembly")
    page.goto((site / "network.html").as_uri())
    page.click("text=Start the network")
    assert trouble(page).startswith("This browser has no WebAssembly")
    assert not page.is_visible(".running")
    page.close()


def test_a_part_that_does_not_arrive_is_one_sentence_and_can_be_asked_for_again(browser, site):
    page = browser.new_page()
    page.route("**/network-minute-seed0.js", lambda route: route.abort())
    page.goto((site / "network.html").as_uri())
    page.click("text=Start the network")
    page.wait_for_selector(".trouble:not(:empty)", timeout=60_000)
    assert trouble(page).startswith("network-minute-seed0.js did not arrive: ")
    page.unroute("**/network-minute-seed0.js")
    page.click("text=Start the network")
    settled(page, timeout=60_000)
    assert trouble(page) == "" and page.is_visible(".result")
    page.close()


# How it looks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_360_pixels(browser, site, axe, scheme):  # noqa: F811
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    start(page, (site / "network.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.add_script_tag(content=axe)
    found = page.evaluate(RUN, [[".nothing"], []])
    assert found == [], json.dumps(found, indent=1)
    page.close()
