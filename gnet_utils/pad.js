// A sheet of paper: draw with a mouse, a finger or a pen. The model's `value` is the sheet as the data
// URL of a PNG, "" where nothing is drawn; it is set when the pen is lifted.
const SIDE = 280;

export default {
  render({ model, el }) {
    if (!window.PointerEvent) {
      el.textContent = "This browser cannot draw here (no pointer events): use Own picture.";
      return;
    }
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Sheet to draw a garment on");
    canvas.style.cssText =
      "touch-action: none; cursor: crosshair; border: 1px solid gray; width: 160px";
    const paper = canvas.getContext("2d");

    function clear() {
      paper.fillStyle = "white";
      paper.fillRect(0, 0, SIDE, SIDE);
    }

    function show() {
      clear();
      if (!model.get("value")) return;
      const picture = new Image();
      picture.onload = () => paper.drawImage(picture, 0, 0);
      picture.src = model.get("value");
    }

    function place(event) {
      const box = canvas.getBoundingClientRect();
      const scale = SIDE / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    }

    let drawing = false;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      drawing = true;
      paper.strokeStyle = paper.fillStyle = "#555";
      paper.lineWidth = 12;
      paper.lineCap = paper.lineJoin = "round";
      paper.beginPath();
      paper.moveTo(...place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drawing) return;
      paper.lineTo(...place(event));
      paper.stroke();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (!drawing) return;
        drawing = false;
        if (fill.checked) paper.fill();
        model.set("value", canvas.toDataURL());
        model.save_changes();
      });
    }

    const label = document.createElement("label");
    const fill = document.createElement("input");
    fill.type = "checkbox";
    fill.checked = true;
    label.append(fill, " fill each outline ");
    const wipe = document.createElement("button");
    wipe.textContent = "new sheet";
    wipe.addEventListener("click", () => {
      model.set("value", "");
      model.save_changes();
    });
    model.on("change:value", show);
    show();
    const beside = document.createElement("div");
    beside.style.cssText = "display: flex; flex-direction: column; gap: 8px";
    beside.append("Draw on this sheet.", label, wipe);
    const pad = document.createElement("div"); // of its own: ipywidgets sets the style of `el`
    pad.style.cssText = "display: flex; flex-wrap: wrap; gap: 8px; align-items: flex-start";
    pad.append(canvas, beside);
    el.append(pad);
  },
};
