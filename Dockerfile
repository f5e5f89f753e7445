# The demo in two images: `build` has the whole tool chain and makes the site, `serve` (the last,
# so the default) holds the site and a server of the standard library. docs/how-to/container.md.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends chromium mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home webslm
USER webslm
WORKDIR /home/webslm
ENV PATH=/home/webslm/venv/bin:$PATH
# An index of PyTorch's CPU wheels spares some gigabytes of CUDA libraries.
ARG PIP_EXTRA_INDEX_URL=""
COPY --chown=webslm pyproject.toml README.md LICENSE src/
COPY --chown=webslm webslm src/webslm
COPY --chown=webslm conf src/conf
COPY --chown=webslm recipes src/recipes
RUN python -m venv venv && pip install --no-cache-dir ./src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir wheels ./src
RUN python -m webslm domain=medical base=tiny quant=q4f32_1 output_dir=demo
ENTRYPOINT ["python", "-m", "webslm"]

FROM python:3.11-slim-bookworm AS serve
RUN useradd --create-home webslm
WORKDIR /home/webslm
COPY --from=build /home/webslm/wheels wheels
RUN pip install --no-cache-dir --no-deps wheels/*.whl
COPY --from=build /home/webslm/demo demo
USER webslm
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/manifest.json', timeout=5)"]
CMD ["python", "-m", "webslm", "serve", "demo/bundle", "--host", "0.0.0.0", "--port", "8000"]
