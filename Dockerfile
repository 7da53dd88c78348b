# The API only, for docker-compose.yml: the worker needs the host's GPU. All packages come as wheels, for arm64 and x86_64.
# For a package index of your own: docker build --secret id=pip,src=pip.conf .
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
RUN python -m venv /opt/captionq
WORKDIR /captionq
COPY requirements/api.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/captionq/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --no-deps \
    --requirement requirements/api.txt
COPY pyproject.toml hatch_build.py README.md LICENSE captionq.py ./
COPY jobs jobs
COPY worker worker
COPY api api
COPY cli cli
# The tools that build and install packages are of no use to a server.
RUN /opt/captionq/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/captionq/bin/pip uninstall --yes editables hatchling pip setuptools

FROM ${BASE}
RUN useradd --create-home --uid 1000 captionq && mkdir /data && chown captionq /data
COPY --from=build /opt/captionq /opt/captionq
ENV PATH=/opt/captionq/bin:$PATH CAPTIONQ_DATA_DIR=/data
USER captionq
VOLUME /data
EXPOSE 8484
HEALTHCHECK --interval=10s --timeout=5s --retries=6 --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8484/healthz', timeout=2)"]
ENTRYPOINT ["captionq"]
CMD ["serve", "--no-worker", "--host", "0.0.0.0"]
