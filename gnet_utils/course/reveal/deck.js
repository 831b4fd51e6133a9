// Divides what is too long for its slide, shrinks what cannot be divided, then starts reveal.js.
const SPACE = { width: 1184, height: 664 }, SMALLEST = 0.7;
const CODE = "pre:not(.output)";
const PICTURE = { enlarged: 1.5, highest: 580, lowest: 360 };  // figures are drawn for a page

const box = (part) => part.getBoundingClientRect();

function shrink(part, tooLarge) {
  let zoom = 1;
  while (tooLarge() && zoom > SMALLEST) part.style.zoom = zoom -= 0.02;
  return zoom;
}

// Code, output and tables become as narrow as the slide, pictures as large as is good to see.
function narrow(content) {
  for (const part of content.querySelectorAll("pre, table")) {
    const smallest = part.matches(CODE) ? 1 : part.matches("pre") ? 0.8 : SMALLEST;
    if (part.scrollWidth > part.clientWidth) part.classList.add("narrow");
    if (part.scrollWidth > part.clientWidth / smallest) part.classList.add("wrapped");
    part.dataset.zoom = shrink(part, () => part.scrollWidth > part.clientWidth + 1
      || box(part).width > SPACE.width + 1);
  }
  for (const { style, naturalWidth, naturalHeight } of content.querySelectorAll("img")) {
    const most = Math.min(PICTURE.enlarged, SPACE.width / naturalWidth, PICTURE.highest / naturalHeight);
    style.height = `${naturalHeight * most}px`;
  }
}

// Makes a picture as high as is left of the slide; false where it would be too small to see.
function squeezed(block, space) {
  const picture = block.querySelector("img");
  if (!picture) return false;
  const least = Math.min(Math.max(PICTURE.lowest, picture.naturalHeight), picture.height);
  if (space >= least) picture.style.height = `${space}px`;
  return space >= least;
}

const isText = (block) => block?.matches("p, ul, ol, .together:has(.vote)");

// Makes a picture lower, so that the text below it is on the same slide.
function madeRoom(block, bottom) {
  let before = block;
  while (isText(before)) before = before.previousElementSibling;
  if (before === block || !before?.matches("figure")) return false;
  return squeezed(before, box(before).height - (box(block).bottom - bottom));
}

// Sets code with less space between its lines; false, and as before, where that does not help.
function tightened(block, bottom) {
  const code = block.matches(CODE) ? [block] : [...block.querySelectorAll(CODE)];
  code.forEach((pre) => pre.classList.add("tight"));
  if (code.length && box(block).bottom <= bottom) return true;
  code.forEach((pre) => pre.classList.remove("tight"));
  return false;
}

// How bad it is to part code before a line: not at all after a blank line, more when deep.
function nesting(line, before) {
  const text = line.textContent;
  return text.search(/\S|$/) + (before.textContent.trim() ? 2 : 0) + (/^[)\]}]/.test(text) ? 100 : 0);
}

// Cuts lines, rows or items off a block that ends below `bottom`, into about equal parts; returns
// the block with the rest, null where it has no such parts.
function cut(block, bottom) {
  const parts = [...block.querySelectorAll(":scope > span, :scope > li, :scope > tbody > tr")];
  const top = box(block).top, space = bottom - top, height = box(block).height;
  const wanted = height / Math.ceil(height / space);
  const code = block.matches(CODE);
  let best = null, least = Infinity;
  parts.slice(1).forEach((part, before) => {
    const above = box(part).top - top;
    const bad = Math.abs(above - wanted) / space + (code ? nesting(part, parts[before]) : 0);
    if (above > space / 2 - 30 && above <= space - 12 && bad < least) [best, least] = [part, bad];
  });
  if (!best) return null;
  const rest = block.cloneNode(false), from = parts.indexOf(best);
  if (block.tagName === "OL") rest.start = block.start + from;
  if (block.tHead) rest.append(block.tHead.cloneNode(true));
  (block.tHead ? rest.createTBody() : rest).append(...parts.slice(from));
  return rest;
}

// Where the text around a block begins, that it be read in one: 0 would leave the slide empty.
function paragraph(blocks, first) {
  let begin = first;
  while (isText(blocks[first]) && isText(blocks[begin - 1])) begin -= 1;
  return begin || first;
}

// Moves what does not fit to a new slide below, with the same heading; then fits that one.
function fit(section) {
  const frame = section.querySelector(".frame"), content = frame.firstElementChild;
  const heading = content.querySelector("h1, h2, h3");
  const bottom = box(frame).top + SPACE.height;
  const blocks = [...content.children].filter((block) => block !== heading);
  const first = blocks.findIndex((block) => box(block).bottom > bottom
    && !squeezed(block, bottom - box(block).top) && !tightened(block, bottom)
    && !madeRoom(block, bottom));
  if (first >= 0) {
    const moved = blocks.slice(paragraph(blocks, Math.max(first, 1)));
    if (first === 0) {
      const together = blocks[0].matches(".together") ? [...blocks[0].children] : [];
      if (together.length) {  // code and its result, too long for one slide
        blocks[0].replaceWith(...together);
        return fit(section);
      }
      const rest = cut(blocks[0], bottom);
      if (rest) moved.unshift(rest);
    }
    if (moved.length) {
      const next = section.cloneNode(true);
      const title = document.createElement(heading.tagName === "H1" ? "H2" : heading.tagName);
      title.innerHTML = heading.innerHTML;
      next.querySelector(".frame").firstElementChild.replaceChildren(title, ...moved);
      section.after(next);
      fit(next);
    }
  }
  const zooms = [...content.querySelectorAll("[data-zoom]")].map((part) => Number(part.dataset.zoom));
  zooms.push(shrink(content, () => box(frame).height > SPACE.height + 14));  // the last margin
  frame.dataset.zoom = Math.min(...zooms).toFixed(2);
}

window.addEventListener("load", () => {
  document.documentElement.classList.add("measuring");
  document.querySelectorAll(".frame").forEach(narrow);
  document.querySelectorAll(".slides > section > section").forEach(fit);
  document.documentElement.classList.remove("measuring");
  Reveal.initialize({
    width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false, hash: true,
    slideNumber: "c/t", transition: "none", navigationMode: "linear", pdfMaxPagesPerSlide: 1,
    plugins: [RevealNotes],
  });
});
