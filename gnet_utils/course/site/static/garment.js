// A picture as the net sees it: the steps of `as_the_net_sees` in explorers/n05.py, with the same
// numbers. `asTheNetSees` takes ImageData and gives 784 bytes; it throws where nothing stands out.
const SIDE = 28;
const LONGEST_SIDE = 1024; // larger photos are made smaller, as `load_picture` does

async function pixels(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const paper = document.createElement("canvas");
  paper.width = Math.max(1, Math.round(image.naturalWidth * scale));
  paper.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const brush = paper.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.fillStyle = "white"; // under what is transparent
  brush.fillRect(0, 0, paper.width, paper.height);
  brush.drawImage(image, 0, 0, paper.width, paper.height);
  return brush.getImageData(0, 0, paper.width, paper.height);
}

function asTheNetSees({ data, width, height }) {
  const looks = new Float32Array(4 * width * height); // brightness; red, green, blue without it
  const border = [];
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    const gray = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15; // as OpenCV rounds
    looks[4 * i] = gray;
    looks[4 * i + 1] = red - gray;
    looks[4 * i + 2] = green - gray;
    looks[4 * i + 3] = blue - gray;
    const x = i % width;
    if (x === 0 || x === width - 1 || i < width || i >= looks.length / 4 - width) border.push(i);
  }
  const { off, noise } = plainGround(looks, border, width, height);
  const tone = new Uint8ClampedArray(width * height); // which rounds
  for (let i = 0; i < tone.length; i++) tone[i] = off(i);
  const brightest = tone.reduce((a, b) => Math.max(a, b));
  const limit = Math.max(0.2 * brightest, noise);
  const seen = tone.map((value) => value > limit);
  const { labels, areas } = connected(seen, width, height);
  const largest = Math.max(...areas);
  if (brightest < 25 || largest < 0.001 * seen.length) {
    throw Error("nothing stands out from the border: put one garment on a plain ground");
  }
  const garment = areas.map((area) => area > 0.02 * largest); // the other shoe too, no crumbs
  const cut = new Set(border.map((i) => labels[i]));
  if (!cut.has(areas.indexOf(largest))) cut.forEach((label) => (garment[label] = false));
  let [left, right, top, bottom] = [width, 0, height, 0];
  seen.forEach((value, i) => {
    if (!value) return;
    if (!garment[labels[i]]) return (tone[i] = 0);
    left = Math.min(left, i % width);
    right = Math.max(right, (i % width) + 1);
    top = Math.min(top, Math.floor(i / width));
    bottom = Math.max(bottom, Math.floor(i / width) + 1);
  });
  const scale = SIDE / Math.max(right - left, bottom - top);
  const columns = shares(right - left, Math.max(1, Math.round((right - left) * scale)));
  const rows = shares(bottom - top, Math.max(1, Math.round((bottom - top) * scale)));
  const picture = new Uint8Array(SIDE * SIDE);
  const first = SIDE * ((SIDE - rows.length) >> 1) + ((SIDE - columns.length) >> 1);
  rows.forEach((parts, y) =>
    columns.forEach((across, x) => {
      let sum = 0;
      for (const [row, a] of parts) {
        for (const [column, b] of across) sum += a * b * tone[(top + row) * width + left + column];
      }
      picture[first + SIDE * y + x] = Math.round(sum);
    }),
  );
  return picture;
}

// What the ground would look like everywhere, a plane in each channel, fitted to the border without
// what stands out: how far pixel i is `off` it, and how far the ground's own pixels are.
function plainGround(looks, border, width, height) {
  const longest = Math.max(width, height);
  const middle = [0, 1, 2, 3].map((k) => quantile(border.map((i) => looks[4 * i + k]), 0.5));
  let plane = [middle, [0, 0, 0, 0], [0, 0, 0, 0]]; // at the corner; by row; by column
  const off = (i) => {
    const row = Math.floor(i / width) / longest;
    const column = (i % width) / longest;
    let most = 0;
    for (let k = 0; k < 4; k++) {
      const ground = plane[0][k] + row * plane[1][k] + column * plane[2][k];
      most = Math.max(most, Math.abs(looks[4 * i + k] - ground));
    }
    return most;
  };
  let near;
  for (let turn = 0; turn < 5; turn++) {
    const limit = 2 * quantile(border.map(off), 0.5) + 2;
    near = border.filter((i) => off(i) <= limit);
    const table = [0, 1, 2].map((k) => Array(7).fill(0).fill(1e-9, k, k + 1)); // for one row alone
    for (const i of near) {
      const place = [1, Math.floor(i / width) / longest, (i % width) / longest];
      const line = [...place, ...looks.subarray(4 * i, 4 * i + 4)];
      place.forEach((a, row) => line.forEach((b, column) => (table[row][column] += a * b)));
    }
    plane = solved(table);
  }
  return { off, noise: quantile(near.map(off), 0.99) };
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place % 1);
}

// Least squares: the normal equations, a matrix with its right sides, eliminated.
function solved(table) {
  table.forEach((line, k) => {
    const pivot = line[k];
    line.forEach((value, column) => (line[column] = value / pivot));
    for (const other of table) {
      const factor = other[k];
      if (other !== line) line.forEach((value, column) => (other[column] -= factor * value));
    }
  });
  return table.map((line) => line.slice(3));
}

// The parts of what is seen, corners touch too: the label of each pixel (0: none) and their areas.
function connected(seen, width, height) {
  const labels = new Int32Array(seen.length);
  const areas = [0];
  seen.forEach((value, start) => {
    if (!value || labels[start]) return;
    const waiting = [start];
    labels[start] = areas.length;
    let area = 0;
    for (; waiting.length; area++) {
      const i = waiting.pop();
      const x = i % width;
      const y = Math.floor(i / width);
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          const j = row * width + column;
          if (!seen[j] || labels[j]) continue;
          labels[j] = areas.length;
          waiting.push(j);
        }
      }
    }
    areas.push(area);
  });
  return { labels, areas };
}

// For each pixel of the new size the old pixels that it is made of, each with its share, as in
// OpenCV's INTER_AREA: means when it gets smaller, between two neighbours when it gets larger.
function shares(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, n) => {
    const [start, end] = [n * scale, Math.min(from, (n + 1) * scale)];
    const first = Math.floor(start);
    if (scale < 1) {
      const second = Math.max(0, n + 1 - (first + 1) / scale);
      return [[first, 1 - second], [Math.min(first + 1, from - 1), second]];
    }
    return Array.from({ length: Math.ceil(end) - first }, (_, k) => {
      const i = first + k;
      return [i, (Math.min(i + 1, end) - Math.max(i, start)) / scale];
    });
  });
}
