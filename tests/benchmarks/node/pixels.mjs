import sharp from 'sharp';
import smartcrop from 'smartcrop';

// The same as smartcrop-sharp, which pins an old sharp: smartcrop reads its pixels from sharp, scaled as it asks.
export const pixels = {
  async open(file) {
    const { width, height } = await sharp(file).metadata();
    return { width, height, file };
  },
  resample: (image, width, height) => ({ ...image, width: ~~width, height: ~~height }),
  async getData({ width, height, file }) {
    const size = { width, height, fit: 'fill', kernel: 'cubic' };
    const data = await sharp(file).resize(size).toColourspace('srgb').ensureAlpha().raw().toBuffer();
    return new smartcrop.ImgData(width, height, data);
  },
};
