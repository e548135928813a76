// Makes square thumbnails with the croppers that Node users have, as crop_speed.py asks and times.
//
//   node speed.mjs attention|entropy|smartcrop SIDE QUALITY PARALLEL
//
// A line in: {"files", "out"}, a list of photos and a folder. A line out: {"seconds", "cpu"}, of wall time and of all
// threads. PARALLEL photos are under way at a time; with 1 libvips has one thread, otherwise as many as it takes by
// itself.

import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import sharp from 'sharp';
import smartcrop from 'smartcrop';

import { pixels } from './pixels.mjs';

const [way, side, quality, parallel] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const encoding = { quality, optimiseCoding: false }; // as plain a JPEG as the others write
sharp.cache(false); // the rounds repeat the photos
if (parallel === 1) sharp.concurrency(1);

async function crop(file, out) {
  if (way !== 'smartcrop') {
    return sharp(file).resize(side, side, { position: way }).jpeg(encoding).toFile(out);
  }
  const { x, y, width, height } = (await smartcrop.crop(file, { width: side, height: side, imageOperations: pixels })).topCrop;
  const box = { left: x, top: y, width, height };
  return sharp(file).extract(box).resize(side, side).jpeg(encoding).toFile(out);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { files, out } = JSON.parse(line);
  const left = files.values();
  const lane = async () => {
    for (const file of left) await crop(file, join(out, basename(file)));
  };
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  await Promise.all(Array.from({ length: parallel }, lane));
  const seconds = (performance.now() - start) / 1e3;
  const { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6 }));
}
