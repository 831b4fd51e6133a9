// Shrinks what is too large for its slide, then starts reveal.js.
const SPACE = { width: 1184, height: 664 }, SMALLEST = 0.7;

function fit(frame) {
  const content = frame.firstElementChild;
  let smallest = 1;
  const shrink = (part, tooLarge) => {
    let zoom = 1;
    while (tooLarge() && zoom > SMALLEST) part.style.zoom = zoom -= 0.02;
    smallest = Math.min(smallest, zoom);
  };
  for (const part of content.querySelectorAll("pre, table")) {
    if (part.scrollWidth > part.clientWidth / SMALLEST) part.classList.add("wrapped");
    shrink(part, () => part.scrollWidth > part.clientWidth + 1
      || part.getBoundingClientRect().width > SPACE.width + 1);
  }
  shrink(content, () => frame.getBoundingClientRect().height > SPACE.height);
  frame.dataset.zoom = smallest.toFixed(2);
}

window.addEventListener("load", () => {
  document.documentElement.classList.add("measuring");
  document.querySelectorAll(".frame").forEach(fit);
  document.documentElement.classList.remove("measuring");
  Reveal.initialize({
    width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false, hash: true,
    slideNumber: "c/t", transition: "none", navigationMode: "linear", pdfMaxPagesPerSlide: 1,
  });
});
