"""Where people look in a photograph, and the crop that keeps it.

`gaze.saliency(image)` predicts, `gaze.crop(image, ratio="1:1")` chooses the box; an image is a path, a PIL image or an
H x W x 3 uint8 RGB array. What needs numpy, OpenCV or ONNX Runtime loads on first use, so that `import gaze` is quick.
"""
