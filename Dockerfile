# What pipelines run: provisioner, git to bring the state back to its branch, and nothing to install more with.
FROM python:3.13-slim-trixie AS build
WORKDIR /source
RUN python -m venv --without-pip /opt/provisioner
COPY requirements/run.txt requirements/run.txt
RUN python -m pip --python /opt/provisioner/bin/python install --no-cache-dir --no-compile \
    --only-binary :all: --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY provisioner provisioner
RUN python -m pip --python /opt/provisioner/bin/python install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/provisioner/bin/python -m compileall -q /opt/provisioner

FROM python:3.13-slim-trixie
# Whoever mounts a clone may be another user than the one in here: git is told not to mind.
# hadolint ignore=DL3008  # Debian keeps one version of each; the image's tag and date say which
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && git config --system --add safe.directory '*' \
    && useradd --uid 10001 --create-home --home-dir /home/provisioner provisioner
COPY --from=build /opt/provisioner /opt/provisioner
COPY --chmod=0755 ci/state.sh /usr/local/bin/provisioner-state
ENV PATH=/opt/provisioner/bin:$PATH
USER 10001
WORKDIR /apps
ENTRYPOINT ["provisioner"]
CMD ["--help"]
