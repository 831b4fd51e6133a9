// Wakes what pages.py has written: predictions, exercises, explorers. Answers stay in this browser.
(() => {
  "use strict";

  const find = (selector, root = document) => [...root.querySelectorAll(selector)];
  const data = (form) => JSON.parse(form.querySelector("script").textContent);
  const say = (part, text) => { part.querySelector(".said").textContent = text; };

  // What is kept, under the name of its form; where that is forbidden, as long as the page is open.
  let store = {};
  try { store = localStorage; } catch { /* private windows of some browsers */ }
  const kept = ({ name }) => store[`gnet.${name}`];
  const keep = ({ name }, value) => { store[`gnet.${name}`] = value; };

  // As in answers.py.
  function hashed(text) {
    let value = 0x811c9dc5;
    for (const character of text) value = Math.imul(value ^ character.codePointAt(0), 0x01000193);
    return value >>> 0;
  }
  const nameOf = (key) => `${hashed(`1${key}`)}-${hashed(`${key}2`)}`;
  function open(key, sealed) {
    const bytes = Uint8Array.from(atob(sealed), (character) => character.charCodeAt(0));
    bytes.forEach((byte, place) => { bytes[place] ^= (hashed(`${key}|${place}`) >>> 11) & 255; });
    return new TextDecoder().decode(bytes);
  }

  // Predictions ---------------------------------------------------------------------------------

  const asked = find(".prediction");

  function show() {
    const made = asked.filter((form) => kept(form) !== undefined);
    for (const form of made) {
      form.elements.guess.value = kept(form);
      form.querySelector("fieldset").disabled = true;
      say(form, "Noted. Read on to see.");
      find(`.held[data-prediction="${form.dataset.id}"]`)[0].classList.add("open");
    }
    const isRight = (form) => nameOf(`${form.dataset.id}|${kept(form)}`) === data(form).right;
    const lines = made.filter((form) => !isRight(form)).map((form) => {
      const line = document.createElement("li");
      const said = form.querySelector(":checked").parentNode.textContent.trim();
      line.textContent = `You said ${said}. ${open(form.dataset.id, data(form).because)}`;
      return line;
    });
    const right = `You were right in ${made.length - lines.length} of ${made.length} predictions.`;
    const rest = made.length < asked.length ? ` Not made yet: ${asked.length - made.length}.` : "";
    for (const part of find(".score")) {
      say(part, made.length ? right + rest : `No prediction made yet, of ${asked.length} here.`);
      part.querySelector("ul").replaceChildren(...lines);
      part.querySelector("button").hidden = !made.length;
    }
  }

  for (const form of asked) {
    form.addEventListener("submit", () => {
      keep(form, form.elements.guess.value);
      show();
    });
  }
  for (const button of find(".score button")) {
    button.addEventListener("click", () => {
      for (const { name } of find(".prediction, .exercise")) delete store[`gnet.${name}`];
      location.reload();
    });
  }
  show();

  // Exercises -----------------------------------------------------------------------------------

  // What `check` says in a notebook about a number as it was typed.
  function judged(id, known, text) {
    const plain = text.replace(/[,_\s%]/g, "").replace("\u2212", "-");
    const value = Number(plain);
    const verdict = (number) => {
      for (const places of known.digits) {
        const scaled = places < 0 ? number / 10 ** -places : number * 10 ** places;
        const key = `${id}|${places}|${Math.round(scaled)}`;
        const sealed = known.verdicts[nameOf(key)];
        if (!sealed) continue;
        const [place, lock] = open(key, sealed).split(" ");
        return open(lock, known.texts[place]);
      }
      return "";
    };
    const round = "a whole number is asked for; which way must you round?";
    const rounds = known.whole && !Number.isInteger(value);
    const cut = rounds ? verdict(Math.trunc(value)).replace(/^Right.*/s, round) : "";
    const found = verdict(value) || cut;
    if (found.startsWith("Right")) return found;
    const level = Math.floor(Math.asinh(value * 1e6) / 0.05) - known.level;
    const where = level < 0 ? "too small." : level > 0 ? "too large." : "near, but not right.";
    return found ? `Not yet: ${plain}: ${found}` : `Not yet: ${plain} is ${where}`;
  }

  for (const form of find(".exercise")) {
    const { id } = form.dataset;
    const known = data(form);
    const input = form.querySelector("input");
    const answer = () => {
      keep(form, input.value);
      say(form, judged(id, known, input.value));
    };
    form.addEventListener("submit", answer);
    form.querySelector(".hint").addEventListener("click", () => {
      say(form, open(id, known.hints[0]));
      known.hints.push(known.hints.shift()); // after the last one comes the first
    });
    if (kept(form) !== undefined) {
      input.value = kept(form);
      answer();
    }
  }

  // Explorers -----------------------------------------------------------------------------------

  // A state is a place for each input in the list of its values: those of the grid, at which the
  // input can stand, then those of presets. Off a preset, the nearest state of the grid is drawn.
  function wakeExplorer(form) {
    const known = data(form);
    const picture = form.querySelector("img");
    const inputs = find("input, select", form);
    const held = (input) => (input.type === "checkbox" ? "checked" : "value");
    const drawn = (at) => (at in known.states ? at : at.map((place, c) => known.near[c][place]));
    const pictureOf = (at) => known.names[known.frames[known.states[at]]];
    const isFile = (name) => name?.endsWith(".avif"); // else it says why there is no picture
    let at = known.buttons[0];

    function move(to) {
      at = drawn(to);
      const values = at.map((place, c) => known.values[c][place]);
      inputs.forEach((input, c) => {
        input[held(input)] = known.near[c][at[c]];
        if (input.type !== "range") return;
        input.setAttribute("aria-valuetext", values[c]);
        input.previousElementSibling.textContent = values[c];
      });
      const name = pictureOf(at);
      say(form, isFile(name) ? "" : name);
      picture.hidden = !isFile(name);
      if (isFile(name)) picture.src = form.dataset.frames + name;
      const list = values.map((value, c) => `${known.labels[c]} ${value}`).join(", ");
      picture.alt = `The picture for ${list}.`;
      for (const code of find("code", form)) code.textContent = known.code[known.states[at]];
    }

    // The pictures one step away are read before they are asked for. Decoded they are when they are
    // shown: on a slow device the one that is wanted would have to wait for twenty others.
    picture.addEventListener("load", () => at.forEach((place, c) => {
      for (const next of [place - 1, place + 1]) {
        const name = pictureOf(drawn(at.with(c, next)));
        if (isFile(name)) new Image().src = form.dataset.frames + name;
      }
    }));
    form.addEventListener("input", ({ target }) => {
      move(at.with(inputs.indexOf(target), Number(target[held(target)])));
    });
    find(".presets button", form).forEach((button, n) => button.addEventListener("click", () => {
      move(at.map((place, c) => known.buttons[n][c] ?? place));
    }));
  }

  find(".explorer").forEach(wakeExplorer);

  // The page ------------------------------------------------------------------------------------

  for (const all of find(".show-all")) {
    const unfold = () => {
      for (const each of find("details:not(.hide)")) each.open ||= all.checked;
    };
    all.checked = kept(all) === "true";
    all.addEventListener("change", () => {
      keep(all, all.checked);
      unfold();
    });
    unfold();
  }

  // On paper all pictures are wanted, also those that nobody has scrolled to.
  addEventListener("beforeprint", () => find("img").forEach((each) => { each.loading = "eager"; }));

  // myst-nb names folded code by what its state is not: the words on it are the name.
  for (const each of find("details.hide > summary")) each.removeAttribute("aria-label");

  // What can be scrolled, can be scrolled with the keyboard.
  const sized = new ResizeObserver((seen) => seen.forEach(({ target }) => {
    target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
  }));
  for (const each of find(".table-wrapper, pre, .math")) sized.observe(each);
})();
