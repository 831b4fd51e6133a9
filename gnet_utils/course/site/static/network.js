// The page with the network: what the reader gives it becomes 28x28 pixels, probabilities, maps.
// `write` of network.py puts before this ABOUT (names, test pictures), PAD (the sheet of pad.js)
// and garment.js, and all into one function. Nets and runtime are scripts, loaded when asked for.
const root = document.getElementById("gnet-network");
const here = document.currentScript.src.replace(/[^/]*$/, "");
const part = (name) => root.querySelector(`.${name}`);
const SHOWN = 7; // maps of each branch
window.gnetNetwork = {}; // each of the scripts adds its own

// Loading -----------------------------------------------------------------------------------------

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function unpacked(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function loaded(name) {
  if (!window.gnetNetwork[name]) {
    await new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = `${here}network-${name}.js`;
      script.onload = done;
      script.onerror = () =>
        failed(Error(`network-${name}.js did not arrive: copy the site's whole folder`));
      document.head.append(script);
    });
  }
  return window.gnetNetwork[name];
}

let ort;
const sessions = {};

async function session(name) {
  if (!ort) {
    const { glue, wasm } = await loaded("runtime");
    // From disk a page may import no file, but what it holds in memory.
    const url = URL.createObjectURL(new Blob([await unpacked(glue)], { type: "text/javascript" }));
    ort = await import(url);
    Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: await unpacked(wasm) });
  }
  if (!sessions[name]) {
    const { model } = await loaded(name);
    sessions[name] = await ort.InferenceSession.create(await unpacked(model));
  }
  return sessions[name];
}

// What the reader gives ---------------------------------------------------------------------------

// What pad.js draws on takes its place among the sources of pictures.
const sheet = {
  value: "",
  heard: [],
  get: () => sheet.value,
  set(_, value) {
    sheet.value = value;
    sheet.heard.forEach((listener) => listener());
  },
  on: (_, listener) => sheet.heard.push(listener),
  save_changes() {
    if (sheet.value) take(async () => asTheNetSees(await pixels(sheet.value)));
    else say("The sheet is empty: draw one garment, or take another picture.");
  },
};

async function opened(file) {
  const address = URL.createObjectURL(file);
  const image = await pixels(address).catch(() => {
    throw Error(`${file.name} is no picture that this browser can open: choose a JPEG or PNG file`);
  });
  URL.revokeObjectURL(address);
  return asTheNetSees(image);
}

// What the page shows -----------------------------------------------------------------------------

let picture; // 784 bytes
let turn = Promise.resolve();

function say(trouble) {
  part("trouble").textContent = trouble;
  part("result").hidden = true;
}

// One after the other: the runtime takes one picture at a time.
function take(getPicture = () => picture) {
  root.setAttribute("aria-busy", "true");
  const mine = (turn = turn.then(async () => {
    try {
      picture = await getPicture();
      part("trouble").textContent = "";
      await show();
    } catch (error) {
      say(error.message);
    }
    if (turn === mine) root.setAttribute("aria-busy", "false");
  }));
}

const percent = (share) => `${(100 * share).toFixed(0)}%`;

async function show() {
  const block = Number(part("block").value);
  const [on, everywhere] = [switches.map((box) => box.checked), part("everywhere").checked];
  const settings = [
    () => true,
    (b, k) => on[k] || (b !== block && !everywhere),
    ...switches.map((_, off) => (b, k) => b !== block || k !== off),
  ];
  const gates = settings.flatMap((isOn) =>
    ABOUT.blocks.flatMap((_, b) => switches.map((_, k) => Number(isOn(b, k)))),
  );
  const feeds = {
    picture: new ort.Tensor("uint8", picture, [1, 1, SIDE, SIDE]),
    switches: new ort.Tensor("float32", gates, [settings.length, ABOUT.blocks.length, 4]),
  };
  const running = await session(part("net").value);
  const begun = performance.now();
  const found = await running.run(feeds, ["probabilities", ABOUT.blocks[block]]);
  const time = performance.now() - begun;
  const [whole, now, ...without] = settings.map((_, n) =>
    found.probabilities.data.subarray(10 * n, 10 * n + 10),
  );
  const best = whole.indexOf(Math.max(...whole));
  const winner = now.indexOf(Math.max(...now));
  part("says").textContent =
    `The net says ${ABOUT.classes[winner]}, ${percent(now[winner])}. ` +
    `Six answers (all branches on, as switched, without each) took ${time.toFixed(0)} ms here.`;
  part("list").querySelectorAll("li").forEach((line, n) => {
    line.dataset.now = now[n];
    line.querySelector(".now").style.width = percent(now[n]);
    line.querySelector(".whole").style.width = percent(whole[n]);
    line.lastChild.textContent = percent(now[n]);
  });
  paint(part("seen"), SIDE, [picture]);
  const maps = found[ABOUT.blocks[block]];
  const [, channels, side] = maps.dims;
  let channel = channels; // those of the first setting come before
  ABOUT.widths[block].forEach((width, k) => {
    const own = Array.from({ length: width }, () => {
      const map = maps.data.subarray(channel * side * side, ++channel * side * side);
      return { map, sum: map.reduce((a, b) => a + b) };
    });
    const strongest = own.sort((a, b) => b.sum - a.sum).slice(0, SHOWN);
    paint(canvases[k], side, strongest.map(({ map }) => map), colours);
    notes[k].textContent =
      `${width} maps of ${side}x${side}; without it in this block ${ABOUT.classes[best]} ` +
      `${percent(whole[best])} → ${percent(without[k][best])}`;
  });
  part("result").hidden = false;
}

// Square maps in a row on a canvas, from black (0) to the brightest colour (their largest number).
function paint(canvas, side, maps, palette = grays) {
  const largest = palette === grays ? 255 : Math.max(1e-9, ...maps.map((map) => Math.max(...map)));
  const gap = Math.ceil(side / 7);
  [canvas.width, canvas.height] = [maps.length * (side + gap) - gap, side];
  const brush = canvas.getContext("2d");
  maps.forEach((map, n) => {
    const tile = brush.createImageData(side, side);
    const inked = new Uint32Array(tile.data.buffer);
    map.forEach((value, i) => (inked[i] = palette[Math.round((255 * value) / largest)]));
    brush.putImageData(tile, n * (side + gap), 0);
  });
}

// The controls ------------------------------------------------------------------------------------

const make = (kind, looks, ...inside) => {
  const element = Object.assign(document.createElement(kind), looks);
  element.append(...inside);
  return element;
};
const grays = Uint32Array.from({ length: 256 }, (_, i) => 0xff000000 + 0x010101 * i);
const colours = new Uint32Array(bytes(ABOUT.colours).buffer);
const stored = bytes(ABOUT.pictures);
const [switches, canvases, notes] = [[], [], []];

for (const { kind, colour } of ABOUT.branches) {
  switches.push(make("input", { type: "checkbox", checked: true }));
  canvases.push(make("canvas", { role: "img", ariaLabel: `Strongest maps of the branch ${kind}` }));
  notes.push(make("span"));
  const label = make("label", {}, switches.at(-1), make("strong", {}, ` ${kind}: `), notes.at(-1));
  const row = make("div", {}, label, canvases.at(-1));
  row.style.borderColor = colour;
  part("branches").append(row);
}
for (const name of ABOUT.classes) {
  const track = make("span", { className: "track" }, make("i", { className: "now" }));
  track.append(make("i", { className: "whole" }));
  part("list").append(make("li", {}, make("span", {}, name), track, make("span")));
}
ABOUT.labels.forEach((label, n) => {
  const image = stored.subarray(n * SIDE * SIDE, (n + 1) * SIDE * SIDE);
  const name = `Test picture: ${ABOUT.classes[label]}`;
  const button = make("button", { type: "button", title: name, ariaLabel: name }, make("canvas"));
  button.addEventListener("click", () => take(() => image));
  part("stored").append(button);
  paint(button.firstChild, SIDE, [image]);
});
for (const { name, title } of ABOUT.nets) {
  part("net").append(make("option", { value: name }, title));
}
ABOUT.blocks.forEach((name, n) =>
  part("block").append(make("option", { value: n }, name.replace("inception_", ""))),
);
part("source").textContent = ABOUT.source;
part("runtime").textContent = ABOUT.runtime;
PAD.render({ model: sheet, el: part("sheet") });

for (const control of [...switches, part("block"), part("everywhere"), part("net")]) {
  control.addEventListener("change", () => take());
}
part("photo").addEventListener("click", ({ target }) => (target.value = "")); // the same one again
part("photo").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) take(() => opened(file));
});
part("start").textContent += ` (loads ${ABOUT.megabytes} MB, then works without the internet)`;
part("start").addEventListener("click", async () => {
  if (!window.WebAssembly || !window.DecompressionStream) {
    return say("This browser has no WebAssembly, which runs the network: use a current one.");
  }
  part("start").disabled = true;
  part("loading").textContent = "Loading ...";
  part("trouble").textContent = "";
  try {
    await session(part("net").value);
    part("start").hidden = true;
    part("running").hidden = false;
    take(() => stored.subarray(0, SIDE * SIDE));
  } catch (error) {
    say(error.message);
    part("start").disabled = false;
  }
  part("loading").textContent = "";
});
