# Crops a folder of photos; see README.md. No torch inside, nothing is downloaded at run time, nothing but /out written.
#   docker build -t gaze .
#   docker run --rm --read-only --network none --user "$(id -u):$(id -g)" \
#     -v "$PWD/photos:/in:ro" -v "$PWD/thumbnails:/out" gaze /in /out --ratio 1:1 --size 400x400
ARG PYTHON=3.12.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE LICENSE.mobileone ./
COPY gaze gaze
RUN python -m venv --without-pip /opt/gaze \
    && pip --python /opt/gaze/bin/python install --no-cache-dir .
# What only builders of other programs need: tests, stubs, headers, converters, and ONNX Runtime a second time, as a
# library for C (its Python module holds all of it). Then a crop, so that no image lacks what cropping needs.
RUN cd /opt/gaze/lib/python3*/site-packages \
    && find . \( -name tests -o -name '*.pyi' -o -name include -o -name '*.a' \) -prune -exec rm -r {} + \
    && rm -rf onnxruntime/capi/libonnxruntime.so* numpy/f2py numpy/distutils \
    && (cd onnxruntime && rm -rf backend datasets quantization tools transformers) \
    && /opt/gaze/bin/python -B -c 'import gaze, numpy; gaze.crop(numpy.zeros((64, 64, 3), "uint8"))'

FROM python:${PYTHON}
COPY --from=build /opt/gaze /opt/gaze
ENV PATH=/opt/gaze/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
USER 65532:65532
WORKDIR /in
ENTRYPOINT ["python", "-m", "gaze.crop"]
