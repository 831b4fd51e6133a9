"""Explorers: controls beside a picture that follows them, in every notebook by one pattern.

An explorer is a pure function from the state of its controls to a Figure (gnet_utils.explorers),
shown by `explore`. Where a kernel runs, the picture follows the controls; on GitHub, in HTML and
on paper it is a picture. Only what ipywidgets 7.7 (Colab) and 8 share is used.
"""

import gc
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from html import escape
from threading import RLock
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from gnet_utils.base import CourseError
from gnet_utils.data import decode_picture
from gnet_utils.exercises import exercises_of, predictions_of
from gnet_utils.memory import remember, remembered
from gnet_utils.plotting import COLOURS, bundle_of, to_png

FITTED = ipywidgets.Layout(width="auto")
ROW = ipywidgets.Layout(flex_flow="row wrap")
# As many columns as fit: one on a telephone, up to six beside each other on a wide page.
GRID = ipywidgets.Layout(
    display="grid",
    grid_template_columns="repeat(auto-fit, minmax(11em, 1fr))",
    grid_gap="0 1.5em",
    align_items="flex-start",
    width="100%",
)
WARNING = "color: #b00020; background: white; padding: 0 4px"  # readable on any page
REFUSED = (ValueError, CourseError)
# JupyterLab (seen in 4.6) lets controls speak to the kernel in a thread beside that of the cells.
# A network with hooks in it, and the drawing itself, are for one picture at a time.
_ONE_AT_A_TIME = RLock()
PUT_BACK, RESET = "without own picture", "reset"
ASLEEP = "No live controls here? Run this cell again (Shift+Enter)."  # true on every page
# JupyterLab marks controls that have lost their kernel, and leaves `style` out where the notebook
# is not trusted: there it shows no controls either. A page without these classes shows the line.
# A control has its name and its value above it and is as wide as its column. ipywidgets gives an
# option one line; on a narrow page the second would lie on the next option. Pictures are white: a
# frame makes them cards, in a dark page too.
STYLE = """<style>
.jp-OutputArea-child:has(> .jp-OutputArea-output > .widget-box:not(.jupyter-widgets-disconnected))
+ .jp-OutputArea-child:has(.gnet-asleep) {display: none}
.gnet-noted.jupyter-widgets-disconnected {display: none}
.gnet-controls .widget-hslider, .gnet-controls .widget-dropdown {
flex-wrap: wrap; width: auto; height: auto; margin: 2px 0
}
.gnet-controls .widget-label {order: 1; flex: 1; width: auto; text-align: left; line-height: 22px}
.gnet-controls .widget-label, .gnet-controls .widget-readout {height: 22px}
.gnet-controls .widget-readout {order: 2; margin: 0; min-width: 0; line-height: 22px}
.gnet-controls .slider-container {order: 3; flex: 1 0 100%; margin: 4px 0}
.gnet-controls .slider-container .slider {margin: 0 9px}
.gnet-controls .widget-dropdown select {order: 3; flex: 1 0 100%}
.widget-radio-box label {display: flex !important; height: auto !important}
.widget-radio-box label input {
order: -1; flex: none; width: 14px !important; height: 14px !important; margin: 3px 6px 0 1px
}
.jp-OutputArea-output img {
box-sizing: border-box; padding: 6px; background: white; border: 1px solid #bbb; border-radius: 8px
}
</style>"""


# Controls -----------------------------------------------------------------------------------------


def slider(
    label: str, value: float, low: float, high: float, step: float = 1, *, slow: bool = False
) -> ipywidgets.Widget:
    """A slider for whole numbers (step 1, 2, ...) or fractions; `slow` waits for its release."""
    kind = ipywidgets.IntSlider if isinstance(step, int) else ipywidgets.FloatSlider
    limits = {"min": low, "max": high, "step": step}
    look = {"description": label, "continuous_update": not slow, "layout": FITTED}
    return kind(value=value, **limits, **look)


def choice(label: str, options: Sequence | Mapping, value: Any = None) -> ipywidgets.Dropdown:
    """A drop-down list; `options` are names, or names with the values they stand for."""
    pairs = list(options.items()) if isinstance(options, Mapping) else list(options)
    chosen = {} if value is None else {"value": value}  # else the first
    return ipywidgets.Dropdown(options=pairs, description=label, **chosen, layout=FITTED)


def switch(label: str, value: bool = True) -> ipywidgets.Checkbox:
    """A box to tick."""
    return ipywidgets.Checkbox(value=value, description=label, indent=False, layout=FITTED)


def upload() -> ipywidgets.FileUpload:
    """A button for one picture file; `explore` hands it on as an RGB array, or None before that."""
    return ipywidgets.FileUpload(accept="image/*", description="Own picture", layout=FITTED)


# The explorer -------------------------------------------------------------------------------------


def explore(
    draw: Callable[..., Figure],
    alt: str,
    controls: Mapping[str, ipywidgets.Widget],
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    code: Callable[..., str] | None = None,
    replaced: Sequence[str] = (),
    instead: Sequence[str] = (),
    columns: Sequence[Sequence[str]] = (),
) -> None:
    """Show `controls` above the picture `draw(**values)`, drawn again whenever a control moves.

    draw: takes one keyword for each control and returns a Figure; a ValueError or CourseError
        from it is shown in place of the picture: the last one belongs to other controls.
    alt: one sentence that says what the first picture shows.
    presets: names of buttons, each with the values that it sets.
    code: takes the same keywords, returns a line of code to copy, shown under the picture.
    replaced: the controls that have nothing to do while the reader's own picture is shown.
    instead: the controls that take it away when they say something, as a sheet that is drawn on.
    columns: the controls that belong together, each column from the top down; a control that is
        not named stands alone, after them.

    At most one control is an `upload`. Raises what `draw` raises for the first picture: then the
    notebook is wrong.
    """
    own_size = ipywidgets.Layout(max_width="100%", align_self="flex-start")  # larger is blurred
    picture = ipywidgets.Image(format="png", layout=own_size)
    message, line = ipywidgets.HTML(), ipywidgets.HTML()
    busy = False  # while a preset sets several controls, the picture waits for the last one
    # The reader's own picture, decoded once. Its control keeps no content of the file: that would
    # be saved with the notebook.
    files = [n for n, c in controls.items() if isinstance(c, ipywidgets.FileUpload)]
    own, file = None, files[0] if files else None
    back = ipywidgets.Button(description=PUT_BACK, layout=FITTED, disabled=True)
    start = {name: control.value for name, control in controls.items() if name != file}
    exact = dict(start)  # what was set last, see `value_of`
    drawn = None  # the values behind the picture that is shown

    def value_of(name: str) -> Any:
        """Of a control; what a preset has set counts as long as its slider stands there.

        A front end rounds it to the slider's step, 0.2989 to 0.3, and sends that back.
        """
        control = controls[name]
        if not isinstance(control, ipywidgets.FloatSlider):
            return control.value
        if abs(control.value - exact.get(name, control.value)) > control.step / 2:
            del exact[name]  # moved by hand
        return exact.get(name, control.value)

    def draw_now() -> None:
        nonlocal drawn
        values = {name: own if name == file else value_of(name) for name in controls}
        state = [id(value) if name == file else value for name, value in values.items()]
        if state == drawn:
            return
        with _garbage_found_young():
            picture.value = to_png(draw(**values))
        picture.layout.visibility = "visible"
        message.value = note()
        if code is not None:
            line.value = f"<code>{escape(code(**values))}</code>"
        drawn = state

    def note() -> str:
        """Rest the controls that an own picture replaces; what is to be said of it."""
        shown = own is not None
        back.disabled = not shown
        for name in replaced:
            controls[name].disabled = shown
        idle = " and ".join(f'"{controls[name].description}"' for name in replaced)
        chosen = f", and {idle} can be chosen again" if idle else ""
        return f'Your own picture. "{PUT_BACK}" takes it away{chosen}.' if shown else ""

    def redraw(_=None) -> None:
        if busy:
            return
        with _ONE_AT_A_TIME:
            try:
                draw_now()
            except REFUSED as error:
                say(error)

    def say(error: Exception) -> None:
        nonlocal drawn
        drawn = None  # hidden: the same values bring it back
        message.value = f'<b style="{WARNING}">{escape(str(error))}</b>'
        picture.layout.visibility, line.value = "hidden", ""

    def use(values: Mapping[str, Any]) -> None:
        nonlocal busy
        busy = True
        for name, value in values.items():
            controls[name].value = exact[name] = value
        busy = False
        redraw()

    def take(_) -> None:
        nonlocal busy, own
        if busy or not controls[file].value:
            return
        try:
            own = _uploaded(controls[file])
            with _ONE_AT_A_TIME:
                draw_now()
        except REFUSED as error:  # it would stop every later picture
            own = None
            note()
            say(error)
        busy = True
        _forget_content(controls[file], taken=own is not None)
        busy = False

    def show_instead(change) -> None:
        if file and change["new"] and not busy:
            leave_own()
        redraw()

    def put_back(_) -> None:
        leave_own()
        redraw()

    def leave_own() -> None:
        nonlocal own
        own = None
        _forget_content(controls[file], taken=False)

    def reset(_) -> None:
        if file:
            leave_own()
        use(start)

    buttons = []
    for name, values in (presets or {}).items():
        buttons.append(ipywidgets.Button(description=name, layout=FITTED))
        buttons[-1].on_click(lambda _, values=values: use(values))
    buttons.append(ipywidgets.Button(description=RESET, icon="undo", layout=FITTED))
    buttons[-1].on_click(reset)
    if file:
        back.on_click(put_back)
        buttons.append(back)
    for name, control in controls.items():
        newer = show_instead if name in instead else redraw
        control.observe(take if name == file else newer, names="value")

    draw_now()
    # What was imported and made so far is not searched for garbage again at each picture: that
    # takes longer than to draw one. What an earlier explorer has put aside is searched once more.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    alone = [[name] for name in controls if name not in [n for column in columns for n in column]]
    grid = [ipywidgets.VBox([controls[name] for name in column]) for column in (*columns, *alone)]
    parts = [ipywidgets.Box(buttons, layout=ROW), ipywidgets.Box(grid, layout=GRID)]
    parts[1].add_class("gnet-controls")
    parts += [message, picture]
    _show(ipywidgets.VBox([*parts, line] if code else parts), alt, picture.value)


@contextmanager
def _garbage_found_young() -> Iterator[None]:
    """What is made inside and let go of is freed at the end, with no look at anything older.

    A figure is a ring of references. Searched for now and then, as Python does it, some of them
    grow old, and then all that the notebook holds is searched: a quarter of a second in lesson 09.
    """
    automatic = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if automatic:
            gc.enable()


def _uploaded(control: ipywidgets.FileUpload) -> np.ndarray:
    """The newest upload as (H, W, 3) uint8 RGB, scaled down when huge.

    ipywidgets 7 keeps a dictionary by file name, ipywidgets 8 a tuple.
    """
    files = control.value
    name, file = list(files.items())[-1] if isinstance(files, dict) else (None, files[-1])
    return decode_picture(bytes(file["content"]), name=name or file["name"])


def _forget_content(control: ipywidgets.FileUpload, taken: bool) -> None:
    """Forget what was in the uploaded file, in the browser too, where a `taken` one is counted."""
    if isinstance(control.value, dict):  # ipywidgets 7: the value follows these
        control.metadata, control.data, control._counter = [], [], int(taken)
    else:
        control.value = [{**file, "content": b""} for file in control.value if taken]


def _show(
    box: ipywidgets.Widget, alt: str, png: bytes = b"", page: str = "", style: str = STYLE
) -> None:
    """One output with both forms: live controls where a kernel runs, else picture or text.

    JupyterLab takes the live form also when no kernel knows the controls any more. So a second
    output says what to do; beside controls that answer it is hidden.
    """
    bundle, metadata = bundle_of(png, alt) if png else ({"text/plain": alt}, {})
    if page:
        bundle["text/html"] = page
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    bundle["application/vnd.jupyter.widget-view+json"] = view
    display(bundle, raw=True, metadata=metadata)
    line = f'{style}<small class="gnet-asleep">{ASLEEP}</small>'
    display({"text/html": line}, raw=True, metadata={})


# Predictions and progress -------------------------------------------------------------------------


def predict(name: str) -> None:
    """Ask for the prediction `name`, such as "02.p1", asked in the text above; noted, not judged.

    It survives a restart of the kernel. `score("02")` at the end of the notebook says how many were
    right. Raises ValueError for a prediction that does not exist.
    """
    known = predictions_of(name.partition(".")[0])
    if name not in known:
        names = ", ".join(known) or "none with that number"
        raise ValueError(f"There is no prediction {name!r}. Known here: {names}.")
    texts = list(known[name].options)
    lettered = [f"{letter}) {text}" for letter, text in zip("abcdefgh", texts, strict=False)]
    before = remembered("predictions").get(name)
    options = ipywidgets.RadioButtons(
        options=[(text, index) for index, text in enumerate(lettered)],
        index=texts.index(before) if before in texts else None,
        layout=ipywidgets.Layout(width="max-content", max_width="95%"),
    )
    reply = ipywidgets.HTML("Noted before. Read on to see, or choose again.")
    reply.add_class("gnet-noted")  # by the kernel: without it, it says nothing
    box = ipywidgets.VBox([options, reply])
    if options.index is None:
        reply.value = "Choose, and what follows becomes clear."
        box.add_class(_open_class(name))

    def note(_) -> None:
        with redirect_stdout(io.StringIO()) as trouble:  # what a callback prints is on no page
            remember("predictions", name, texts[options.value])
        box.remove_class(_open_class(name))
        reply.value = f"Noted. Read on to see. {escape(trouble.getvalue())}"

    options.observe(note, names="value")
    # The letters are text: a page may have its own idea of how a list is counted.
    listed = "".join(f"<li>{escape(text)}</li>" for text in lettered)
    page = f'<p>Your prediction:</p><ul style="list-style: none">{listed}</ul>'
    style = STYLE + _held_back(name, known[name].held)
    _show(box, "\n".join(["Your prediction:", *lettered]), page=page, style=style)


def _open_class(prediction: str) -> str:
    return f"gnet-open-{prediction.replace('.', '-')}"


def _held_back(prediction: str, cells: Sequence[int]) -> str:
    """The style that blurs its answer, so many cells below, until the choice is made."""
    still_open = f".jp-Cell:has(.{_open_class(prediction)}:not(.jupyter-widgets-disconnected))"
    held = ", ".join(
        f"{still_open} {'+ .jp-Cell ' * n}{part}"
        for n in cells
        for part in (".jp-OutputArea", ".jp-MarkdownOutput")
    )
    return f"<style>{held} {{filter: blur(6px)}}</style>"


def score(notebook: str) -> None:
    """Print how many predictions of notebook "02" were right, and why where they were not.

    Raises ValueError for a notebook without predictions.
    """
    predictions = predictions_of(notebook)
    if not predictions:
        raise ValueError(f"There are no predictions in notebook {notebook!r}.")
    said = remembered("predictions")
    guessed = {name: p for name, p in predictions.items() if said.get(name) in p.options}
    if not guessed:
        print(f"No prediction made yet, of {len(predictions)} in this notebook.")
        return
    right = [name for name, p in guessed.items() if said[name] == p.options[p.right]]
    missing = len(predictions) - len(guessed)
    rest = f" {missing} of {len(predictions)} predictions not made yet." if missing else ""
    print(f"You were right in {len(right)} of {len(guessed)}.{rest}")
    for name, prediction in guessed.items():
        if name not in right:
            print(f"{name}: you said {said[name]!r}. {prediction.because}")


def progress(*notebooks: str) -> None:
    """Show a square for each exercise, of all notebooks or of those given by number ("03").

    Large enough to be read from behind a chair: a tick on green is right, a dash on yellow is tried
    and not right yet, an empty one is open.
    """
    looks = {"right": ("\u2713", "green"), "tried": ("\u2013", "yellow"), "open": ("", None)}
    html, lines = [], []
    for number in notebooks or [f"{n:02}" for n in range(100)]:
        states = [_state(remembered("exercises").get(name)) for name in exercises_of(number)]
        squares = ""
        for state in states:
            symbol, colour = looks[state]
            colour = COLOURS[colour] if colour else "transparent"
            squares += (
                f'<span style="display: inline-block; width: 1.6em; height: 1.6em; margin: 2px; '
                f"border: 2px solid gray; background: {colour}; color: black; font-size: 20px; "
                f'text-align: center; line-height: 1.5em" title="{state}">{symbol}</span>'
            )
        if states:
            html.append(f"<div><b>{number}</b> {squares}</div>")
            lines.append(f"{number}: {', '.join(states)}")
    display({"text/html": "".join(html), "text/plain": "\n".join(lines)}, raw=True, metadata={})


def _state(kept: str | None) -> str:
    return "open" if kept is None else "right" if kept == "right" else "tried"
