// Wakes what pages.py has written: predictions, exercises, explorers. Answers stay in this browser.
(() => {
  "use strict";

  const find = (selector, root = document) => [...root.querySelectorAll(selector)];
  const data = (part) => JSON.parse(part.querySelector("script").textContent);
  const say = (part, text) => { part.querySelector(".said").textContent = text; };

  // What is kept: one entry for each prediction, exercise and switch; where that is forbidden, for
  // as long as the page is open.
  const noted = new Map();
  function keep(name, value) {
    noted.set(name, value);
    try {
      if (value === null) localStorage.removeItem(`gnet.${name}`);
      else localStorage.setItem(`gnet.${name}`, value);
    } catch { /* private windows of some browsers */ }
  }
  function kept(name) {
    if (noted.has(name)) return noted.get(name);
    try { return localStorage.getItem(`gnet.${name}`); } catch { return null; }
  }

  // As in answers.py.
  function hashed(text) {
    let value = 0x811c9dc5;
    for (const character of text) value = Math.imul(value ^ character.codePointAt(0), 0x01000193);
    return value >>> 0;
  }
  const hex = (number) => number.toString(16).padStart(8, "0");
  const nameOf = (key) => hex(hashed(`1${key}`)) + hex(hashed(`${key}2`));
  function open(key, sealed) {
    const bytes = Uint8Array.from(atob(sealed), (character) => character.charCodeAt(0));
    bytes.forEach((byte, place) => { bytes[place] ^= (hashed(`${key}|${place}`) >>> 11) & 255; });
    return new TextDecoder().decode(bytes);
  }

  // Predictions ---------------------------------------------------------------------------------

  const isRight = (part, index) => nameOf(`${part.dataset.name}|${index}`) === data(part).right;

  const guess = (part) => `prediction.${part.dataset.name}`; // an exercise may have the same name

  function wakePrediction(part) {
    const { name } = part.dataset;
    const fold = document.querySelector(`.held[data-prediction="${name}"]`);
    const show = () => {
      const index = kept(guess(part));
      for (const option of find("input", part)) {
        option.checked = option.value === index;
        option.disabled = index !== null;
      }
      part.querySelector("button").hidden = index !== null;
      fold.classList.toggle("open", index !== null);
      if (index !== null) say(part, "Noted. Read on to see.");
    };
    part.addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = part.querySelector("input:checked");
      if (!chosen) return say(part, "Choose one of them first.");
      keep(guess(part), chosen.value);
      show();
      return score();
    });
    show();
  }

  function score() {
    for (const part of find(".score")) {
      const asked = find(".prediction");
      const made = asked.filter((each) => kept(guess(each)) !== null);
      const wrong = made.filter((each) => !isRight(each, kept(guess(each))));
      const first = made.length
        ? `You were right in ${made.length - wrong.length} of ${made.length} predictions.`
        : `No prediction made yet, of ${asked.length} on this page.`;
      const open_ = asked.length - made.length;
      const rest = made.length && open_ ? ` Not made yet: ${open_}.` : "";
      const lines = wrong.map((each) => {
        const said = each.querySelector("input:checked").parentNode.textContent.trim();
        return `You said ${said}. ${open(each.dataset.name, data(each).because)}`;
      });
      part.replaceChildren(...[first + rest, ...lines].map((text) => {
        const line = document.createElement("p");
        line.textContent = text;
        return line;
      }));
      if (made.length) {
        const button = document.createElement("button");
        button.textContent = "Forget my answers on this page";
        button.addEventListener("click", () => {
          for (const each of find(".prediction")) keep(guess(each), null);
          for (const each of find(".exercise")) keep(`exercise.${each.dataset.name}`, null);
          location.reload();
        });
        part.append(button);
      }
    }
  }

  // Exercises -----------------------------------------------------------------------------------

  function judged(name, known, text) {
    if (/^\s*-?\d+,\d{1,2}\s*$/.test(text)) return "Write 1.5 or 1000, without a comma.";
    const plain = text.replace(/[,_\s]/g, "").replace(/%$/, "").replace(/^\u2212/, "-");
    const value = Number(plain);
    if (!plain) return "Write a number first.";
    if (!Number.isFinite(value)) return `One number is asked for, "${text.trim()}" is none.`;
    const verdict = (number) => {
      for (const places of known.digits) {
        const scaled = places < 0 ? number / 10 ** -places : number * 10 ** places;
        const key = `${name}|${places}|${Math.round(scaled)}`;
        const sealed = known.verdicts[nameOf(key)];
        if (sealed) {
          const [place, lock] = open(key, sealed).split(" ");
          return open(lock, known.texts[place]);
        }
      }
      return null;
    };
    let found = verdict(value);
    if (!found && known.whole && !Number.isInteger(value)) {
      found = verdict(Math.trunc(value));
      if (found?.startsWith("Right")) found = "a whole number is asked for; which way must you round?";
    }
    if (found?.startsWith("Right")) return found;
    const level = Math.floor(Math.asinh(value * 1e6) / 0.05) - known.level;
    const where = level < 0 ? "too small." : level > 0 ? "too large." : "near, but not right.";
    return found ? `Not yet: ${plain}: ${found}` : `Not yet: ${plain} is ${where}`;
  }

  function wakeExercise(part) {
    const { name } = part.dataset;
    const known = data(part);
    const input = part.querySelector("input");
    const answer = (text) => {
      const verdict = judged(name, known, text);
      say(part, verdict);
      if (verdict.startsWith("Right")) keep(`exercise.${name}`, text);
    };
    let given = 0;
    part.addEventListener("submit", (event) => { event.preventDefault(); answer(input.value); });
    part.querySelector(".hint").addEventListener("click", () => {
      const place = given % known.hints.length;
      say(part, `Hint ${place + 1} of ${known.hints.length}: ${open(name, known.hints[place])}`);
      given += 1;
    });
    const before = kept(`exercise.${name}`);
    if (input && before !== null) {
      input.value = before;
      answer(input.value);
    }
  }

  // Explorers -----------------------------------------------------------------------------------

  // A state is a block (0: the grid, then one for each preset) and a place in it for each control.
  function wakeExplorer(part) {
    const known = data(part);
    const picture = part.querySelector("img");
    const code = part.querySelector("code");
    const inputs = find("[data-control]", part);
    const first = picture.alt; // the words for the start
    const values = (block) => known.blocks[block];
    const sizes = known.blocks.map((each) => each.reduce((product, list) => product * list.length, 1));
    const start = { block: 0, places: known.start };
    let state = start;

    const index = ({ block, places }) => {
      const before = sizes.slice(0, block).reduce((sum, size) => sum + size, 0);
      return before + places.reduce((sum, place, c) => sum * values(block)[c].length + place, 0);
    };
    const source = (each) => known.names[known.frames[index(each)]];
    const nearest = (c, value) => {
      const list = known.blocks[0][c];
      if (list.includes(value)) return list.indexOf(value);
      const far = list.map((each) => Math.abs(each - value));
      return far.indexOf(Math.min(...far));
    };
    const moved = (each, c, place) => {
      const places = [...each.places];
      if (values(each.block)[c].length > 1) {
        places[c] = place;
        return { block: each.block, places };
      }
      const back = places.map((at, other) => nearest(other, values(each.block)[other][at]));
      back[c] = place;
      return { block: 0, places: back };
    };

    function show(next) {
      state = next;
      for (const input of inputs) {
        const c = Number(input.dataset.control);
        const value = values(state.block)[c][state.places[c]];
        if (input.type === "checkbox") input.checked = value;
        else input.value = nearest(c, value);
        if (input.type !== "range") continue;
        input.setAttribute("aria-valuetext", value);
        input.previousElementSibling.textContent = value;
      }
      const name = source(state);
      const refused = !name.endsWith(".avif");
      say(part, refused ? name.replace("refused: ", "") : "");
      picture.hidden = refused;
      if (!refused) picture.src = part.dataset.frames + name;
      const words = inputs.map((input) => {
        const c = Number(input.dataset.control);
        return `${known.controls[c].label} ${values(state.block)[c][state.places[c]]}`;
      });
      picture.alt = index(state) === index(start) ? first : `The picture for ${words.join(", ")}.`;
      if (code) code.textContent = known.code[index(state)];
      ahead();
    }

    // The pictures one step away are fetched before they are asked for.
    function ahead() {
      for (const input of inputs) {
        const c = Number(input.dataset.control);
        for (const place of [state.places[c] - 1, state.places[c] + 1]) {
          if (place < 0 || place >= known.blocks[0][c].length) continue;
          const name = source(moved(state, c, place));
          if (name.endsWith(".avif")) new Image().src = part.dataset.frames + name;
        }
      }
    }

    part.addEventListener("input", (event) => {
      const c = Number(event.target.dataset.control);
      const { type, checked, value } = event.target;
      show(moved(state, c, type === "checkbox" ? nearest(c, checked) : Number(value)));
    });
    const buttons = find("button", part);
    buttons.forEach((button, at) => button.addEventListener("click", () => {
      if (at === buttons.length - 1) return show(start);
      const block = at + 1;
      const places = state.places.map((place, c) => (values(block)[c].length > 1
        ? nearest(c, values(state.block)[c][place]) : 0));
      return show({ block, places });
    }));
    new IntersectionObserver((seen, observer) => {
      if (!seen.some((each) => each.isIntersecting)) return;
      observer.disconnect();
      ahead();
    }).observe(part);
    show(state);
  }

  // The page ------------------------------------------------------------------------------------

  for (const part of find(".prediction")) wakePrediction(part);
  for (const part of find(".exercise")) wakeExercise(part);
  for (const part of find(".explorer")) wakeExplorer(part);
  score();

  const all = document.querySelector(".show-all");
  if (all) {
    const show = () => {
      document.documentElement.classList.toggle("all-answers", all.checked);
      for (const each of find("details:not(.hide)")) if (all.checked) each.open = true;
    };
    all.checked = kept("all-answers") === "yes";
    all.addEventListener("change", () => { keep("all-answers", all.checked ? "yes" : null); show(); });
    show();
  }

  // On paper all pictures are wanted, also those that nobody has scrolled to.
  addEventListener("beforeprint", () => {
    for (const each of find("img")) each.loading = "eager";
  });

  // myst-nb names folded code by what its state is not: the words on it are the name.
  for (const each of find("details.hide > summary")) each.removeAttribute("aria-label");

  // What can be scrolled, can be scrolled with the keyboard.
  const sized = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const each of find(".table-wrapper, pre, .math")) sized.observe(each);
})();
