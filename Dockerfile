# syntax=docker/dockerfile:1
# For a CPU:   docker build -t medjax .
# For a GPU:   docker build -t medjax:gpu --build-arg EXTRAS=gpu .
# With more:   --build-arg EXTRAS=gpu,dicom,slides
#
#   docker run --rm --user "$(id -u):$(id -g)" -v /data/CheXpert:/work/data -v "$PWD/runs:/work/runs"
#     [--gpus all] medjax main --config=chexpert --workdir=runs/chexpert --config.data.root=data
#
# The libraries of CUDA come as Python packages: the host needs NVIDIA's driver and its container
# toolkit, nothing else.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
ARG EXTRAS=
WORKDIR /src
COPY setup.py setup.cfg pyproject.toml README.md LICENSE ./
COPY medjax medjax
COPY configs configs
COPY launch launch
RUN --mount=type=cache,target=/root/.cache/pip bash launch/install.sh /opt/medjax "${EXTRAS}"

FROM python:${PYTHON}-slim
COPY --from=build /opt/medjax /opt/medjax
# --user may give another identity, so that what is written to the mounts belongs to whom it should.
RUN useradd --uid 1000 medjax && mkdir -p /work/data /work/runs /cache \
  && chmod 1777 /work /work/data /work/runs /cache
ENV PATH=/opt/medjax/bin:$PATH HOME=/cache XDG_CACHE_HOME=/cache \
  NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
VOLUME ["/work/data", "/work/runs"]
USER medjax
ENTRYPOINT ["medjax"]
CMD ["--help"]
