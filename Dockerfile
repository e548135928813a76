# Crops a folder of photos; see README.md. No torch inside, nothing is downloaded at run time.
#   docker build -t gaze .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/photos:/in:ro" -v "$PWD/thumbnails:/out" gaze /in /out --size 400x400
ARG PYTHON=3.12.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY gaze gaze
RUN python -m venv --without-pip /opt/gaze \
    && pip --python /opt/gaze/bin/python install --no-cache-dir . \
    && find /opt/gaze/lib -type d -name tests -prune -exec rm -r {} +

FROM python:${PYTHON}
COPY --from=build /opt/gaze /opt/gaze
ENV PATH=/opt/gaze/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
USER 65532:65532
WORKDIR /in
ENTRYPOINT ["python", "-m", "gaze.crop"]
