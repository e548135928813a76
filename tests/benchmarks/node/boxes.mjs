// Boxes of the croppers that Node users have: sharp's two strategies and smartcrop.js.
//
//   node boxes.mjs < wanted.jsonl
//
// A line in: {"file", "width", "height"}, the box's size in pixels of the photo. A line out, in the same order:
// {"attention", "entropy", "smartcrop"}, each the [left, top] of a box of that size.

import { createInterface } from 'node:readline';
import sharp from 'sharp';
import smartcrop from 'smartcrop';

import { pixels } from './pixels.mjs';

sharp.concurrency(1);

// `withoutReduction` keeps sharp from scaling the photo before it cuts: the box has the size that was asked for.
async function bySharp(file, width, height, position) {
  const { info } = await sharp(file)
    .resize({ width, height, fit: 'cover', position, withoutReduction: true })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return [-(info.cropOffsetLeft ?? 0), -(info.cropOffsetTop ?? 0)]; // unset where nothing was cut
}

// Its box of this shape is the largest one; equal bounds of its scale make that the size wanted.
async function bySmartcrop(file, width, height) {
  const photo = await sharp(file).metadata();
  const scale = Math.max(width / photo.width, height / photo.height);
  const options = { width, height, minScale: scale, maxScale: scale, imageOperations: pixels };
  const { x, y } = (await smartcrop.crop(file, options)).topCrop;
  return [Math.min(x, photo.width - width), Math.min(y, photo.height - height)];
}

for await (const line of createInterface({ input: process.stdin })) {
  const { file, width, height } = JSON.parse(line);
  const boxes = {
    attention: await bySharp(file, width, height, 'attention'),
    entropy: await bySharp(file, width, height, 'entropy'),
    smartcrop: await bySmartcrop(file, width, height),
  };
  console.log(JSON.stringify(boxes));
}
