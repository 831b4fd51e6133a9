// The page with the network: what the reader gives it becomes 28x28 pixels, probabilities, maps.
// `write` of network.py puts before this PAD (the sheet of pad.js) and garment.js, and all into one
// function. Nets and runtime are scripts, loaded when asked for.
const root = document.getElementById("gnet-network");
const here = document.currentScript.src.replace(/[^/]*$/, "");
const part = (name) => root.querySelector(`.${name}`);
const rows = [...part("branches").children];
window.gnetNetwork = {}; // each of the scripts adds its own

// Loading -----------------------------------------------------------------------------------------

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function loaded(name) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = `${here}network-${name}.js`;
    script.onload = () => done(unpacked(window.gnetNetwork[name]));
    script.onerror = () =>
      failed(Error(`network-${name}.js did not arrive: copy the site's whole folder`));
    document.head.append(script);
  });
}

let ort;
const sessions = {};

async function session(name) {
  if (!ort) {
    // From disk a page may import no file, but what it holds in memory.
    const glue = new Blob([await loaded("glue")], { type: "text/javascript" });
    const runtime = await import(URL.createObjectURL(glue));
    Object.assign(runtime.env.wasm, { numThreads: 1, wasmBinary: await loaded("wasm") });
    ort = runtime;
  }
  sessions[name] ??= await ort.InferenceSession.create(await loaded(name));
  return sessions[name];
}

// What the reader gives ---------------------------------------------------------------------------

// What pad.js draws for: the sheet is one more source of pictures.
const sheet = {
  get: () => "", // the canvas keeps what is drawn
  on: (_, clear) => (sheet.clear = clear),
  set(_, drawn) {
    if (drawn) return take(async () => asTheNetSees(await pixels(part("sheet canvas"))));
    sheet.clear();
    return say("The sheet is empty: draw one garment, or take another picture.");
  },
  save_changes() {},
};

const opened = (file) =>
  pixels(file).then(asTheNetSees, () => {
    throw Error(`${file.name} is no picture that this browser can open: choose a JPEG or PNG file`);
  });

async function stored(image) {
  const { data } = await pixels(image);
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i]);
}

// What the page shows -----------------------------------------------------------------------------

let picture; // 784 bytes
let turn = Promise.resolve();

function say(trouble) {
  part("trouble").textContent = trouble;
  part("result").hidden = trouble !== "";
}

// One after the other: the runtime takes one picture at a time.
function take(getPicture = () => picture) {
  root.ariaBusy = "true";
  const mine = (turn = turn.then(async () => {
    try {
      picture = await getPicture();
      await show();
      say("");
    } catch (error) {
      say(error.message);
    }
    if (turn === mine) root.ariaBusy = "false";
  }));
}

const percent = (share) => `${(100 * share).toFixed(0)}%`;

async function show() {
  const { value, selectedIndex, selectedOptions } = part("block");
  const feeds = {
    picture: new ort.Tensor("uint8", picture, [1, 1, SIDE, SIDE]),
    block: new ort.Tensor("int32", [selectedIndex], []),
    everywhere: new ort.Tensor("bool", [part("everywhere").checked], []),
    on: new ort.Tensor("bool", rows.map((row) => row.querySelector("input").checked), [4]),
  };
  const running = await session(part("net").value);
  const begun = performance.now();
  const found = await running.run(feeds, ["whole", "now", "without", value]);
  const time = performance.now() - begun;
  const [whole, now, without, maps] = Object.values(found).map(({ data }) => data);
  const lines = [...part("list").children];
  const mostOf = (chances) => chances.indexOf(Math.max(...chances));
  const nameOf = (n) => lines[n].firstChild.textContent;
  part("says").textContent =
    `The net says ${nameOf(mostOf(now))}, ${percent(Math.max(...now))}. ` +
    `Six answers (all branches on, as switched, without each) took ${time.toFixed(0)} ms here.`;
  lines.forEach((line, n) => {
    line.style.setProperty("--now", now[n]);
    line.style.setProperty("--whole", whole[n]);
    line.lastChild.textContent = percent(now[n]);
  });
  paint(part("seen"), Array.from(picture).flatMap((gray) => [gray, gray, gray, 255]), SIDE);
  const [, side, across] = found[value].dims;
  const widths = JSON.parse(selectedOptions[0].dataset.widths);
  const best = mostOf(whole);
  rows.forEach((row, k) => {
    row.querySelector("output").textContent =
      `${widths[k]} maps of ${side}x${side}; without it in this block ${nameOf(best)} ` +
      `${percent(whole[best])} → ${percent(without[10 * k + best])}`;
    const size = 4 * side * across;
    paint(row.querySelector("canvas"), maps.subarray(k * size, (k + 1) * size), across);
  });
}

function paint(canvas, colours, width) {
  const image = new ImageData(new Uint8ClampedArray(colours), width);
  Object.assign(canvas, { width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The controls ------------------------------------------------------------------------------------

PAD.render({ model: sheet, el: part("sheet") });
for (const button of part("stored").children) {
  button.addEventListener("click", () => take(() => stored(button.firstChild)));
}
part("photo").addEventListener("click", ({ target }) => (target.value = "")); // the same one again
root.addEventListener("change", ({ target }) => {
  const [file] = target.files ?? [];
  if (!part("sheet").contains(target)) take(file && (() => opened(file)));
});
part("start").addEventListener("click", () =>
  take(async () => {
    if (!window.WebAssembly || !window.DecompressionStream) {
      throw Error("This browser has no WebAssembly, which runs the network: use a current one.");
    }
    await session(part("net").value);
    part("before").hidden = true;
    part("running").hidden = false;
    return stored(part("stored img"));
  }),
);
