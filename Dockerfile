# The API only, for docker-compose.yml: the worker needs the host's GPU. All packages come as wheels, for arm64 and x86_64.
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 captionq && mkdir /data && chown captionq /data
WORKDIR /captionq
COPY requirements/api.txt requirements/
RUN pip install --no-cache-dir --only-binary :all: --require-hashes --no-deps \
    --requirement requirements/api.txt
COPY pyproject.toml README.md LICENSE captionq.py ./
COPY jobs jobs
COPY worker worker
COPY api api
COPY cli cli
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

USER captionq
ENTRYPOINT ["captionq"]
CMD ["serve", "--no-worker"]
