// A picture as the net sees it: the steps of `as_the_net_sees` in explorers/n05.py, with the same
// numbers. `asTheNetSees` takes ImageData and gives 784 bytes; it throws where nothing stands out.
const SIDE = 28;
const LONGEST_SIDE = 1024; // larger photos are made smaller, as `load_picture` does

// The pixels of a file, a canvas or an <img>, on white.
async function pixels(source) {
  const image = await createImageBitmap(source);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) =>
    Math.max(1, Math.round(side * scale)),
  );
  const brush = new OffscreenCanvas(width, height).getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.fillStyle = "white";
  brush.fillRect(0, 0, width, height);
  brush.drawImage(image, 0, 0, width, height);
  return brush.getImageData(0, 0, width, height);
}

function asTheNetSees({ data, width, height }) {
  const all = Array.from({ length: width * height }, (_, i) => i);
  const isInner = (i) => i % width > 0 && i % width < width - 1;
  const border = all.filter((i) => !isInner(i) || i < width || i >= all.length - width);
  const { off, noise } = plainGround(data, border, width, height);
  const tone = Uint8ClampedArray.from(all, off); // which rounds
  const brightest = tone.reduce((a, b) => Math.max(a, b));
  const seen = tone.map((value) => value > Math.max(0.2 * brightest, noise));
  const { labels, areas } = connected(seen, width);
  const largest = Math.max(...areas);
  if (brightest < 25 || largest < 0.001 * seen.length) {
    throw Error("nothing stands out from the border: put one garment on a plain ground");
  }
  const garment = areas.map((area) => area > 0.02 * largest); // the other shoe too, no crumbs
  const cut = new Set(border.map((i) => labels[i]));
  if (!cut.has(areas.indexOf(largest))) cut.forEach((label) => (garment[label] = false));
  const kept = all.filter((i) => garment[labels[i]]);
  const across = new Set(kept.map((i) => i % width));
  const down = new Set(kept.map((i) => Math.floor(i / width)));
  all.filter((i) => seen[i] && !garment[labels[i]]).forEach((i) => (tone[i] = 0));
  const [left, top] = [Math.min(...across), Math.min(...down)];
  const sides = [Math.max(...across) + 1 - left, Math.max(...down) + 1 - top];
  const [columns, rows] = sides.map((side) =>
    shares(side, Math.max(1, Math.round((side * SIDE) / Math.max(...sides)))),
  );
  const picture = new Uint8Array(SIDE * SIDE);
  const first = SIDE * ((SIDE - rows.length) >> 1) + ((SIDE - columns.length) >> 1);
  rows.forEach((parts, y) =>
    columns.forEach((others, x) => {
      let sum = 0;
      for (const [row, a] of parts) {
        for (const [column, b] of others) sum += a * b * tone[(top + row) * width + left + column];
      }
      picture[first + SIDE * y + x] = Math.round(sum);
    }),
  );
  return picture;
}

// What the ground would look like everywhere, a plane in each channel, fitted to the border without
// what stands out: how far pixel i is `off` it, and how far the ground's own pixels are.
function plainGround(data, border, width, height) {
  const longest = Math.max(width, height);
  const place = (i) => [1, Math.floor(i / width) / longest, (i % width) / longest];
  const look = (i) => {
    const [red, green, blue] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
    const gray = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15; // as OpenCV rounds
    return [gray, red - gray, green - gray, blue - gray]; // brightness; colour without it
  };
  const CHANNELS = [0, 1, 2, 3];
  const middle = (k) => quantile(border.map((i) => look(i)[k]), 0.5);
  let planes = CHANNELS.map((k) => [middle(k), 0, 0]); // at the corner; by row; by column
  const off = (i) => {
    const [, row, column] = place(i);
    const far = look(i).map((value, k) => {
      const [corner, down, across] = planes[k];
      return Math.abs(value - corner - row * down - column * across);
    });
    return Math.max(...far);
  };
  let near;
  for (let turn = 0; turn < 5; turn++) {
    const limit = 2 * quantile(border.map(off), 0.5) + 2;
    near = border.filter((i) => off(i) <= limit);
    // Least squares: the normal equations, a matrix with its right sides, eliminated.
    const table = [0, 1, 2].map((k) => Array(7).fill(0).fill(1e-9, k, k + 1)); // for one row alone
    for (const i of near) {
      const line = [...place(i), ...look(i)];
      table.forEach((sums, k) => line.forEach((value, n) => (sums[n] += line[k] * value)));
    }
    table.forEach((line, k) => {
      line.splice(0, 7, ...line.map((value) => value / line[k]));
      for (const other of table.filter((each) => each !== line)) {
        other.splice(0, 7, ...other.map((value, n) => value - other[k] * line[n]));
      }
    });
    planes = CHANNELS.map((k) => table.map((line) => line[3 + k]));
  }
  return { off, noise: quantile(near.map(off), 0.99) };
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place % 1);
}

// The parts of what is seen, corners touch too: the label of each pixel (0: none) and their areas.
function connected(seen, width) {
  const labels = new Int32Array(seen.length);
  const areas = [0];
  seen.forEach((value, start) => {
    if (!value || labels[start]) return;
    const part = [start]; // grows while it is read
    const label = areas.length;
    labels[start] = label;
    for (const i of part) {
      for (const [right, down] of AROUND) {
        const column = (i % width) + right;
        const j = i + right + down * width;
        if (column < 0 || column === width || !seen[j] || labels[j]) continue;
        labels[j] = label;
        part.push(j);
      }
    }
    areas.push(part.length);
  });
  return { labels, areas };
}
const AROUND = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]];

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
