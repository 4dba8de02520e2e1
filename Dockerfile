# Deployments as a job: docs/job.md tells how to build and to run it.
#
#   docker build -t integrations-db .
#   docker run --rm -e PGPASSWORD integrations-db deploy 'postgresql://me@db.example.com/app'
#
# Any Debian with Python 3.11 or newer serves as base: the official images of Python, or your own.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
WORKDIR /source
COPY . .
# pip looks into build/wheels first: with PIP_NO_INDEX=1 nowhere else. Neither is kept in the image.
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
RUN ["python3", "-m", "venv", "/tools"]
RUN ["python3", "-m", "venv", "--without-pip", "/opt/integrations-db"]
RUN ["/tools/bin/pip", "--python", "/opt/integrations-db/bin/python", "install", \
     "--no-cache-dir", "--disable-pip-version-check", "--find-links", "build/wheels", \
     "--constraint", "constraints.txt", "."]

FROM ${BASE_IMAGE}
# Debian packages to add, such as postgresql-client: only scripts with psql's own commands need it.
ARG PACKAGES=
RUN if [ -n "$PACKAGES" ]; then \
      apt-get update && apt-get install -y --no-install-recommends $PACKAGES \
      && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/integrations-db /opt/integrations-db
LABEL org.opencontainers.image.title="integrations-db" \
      org.opencontainers.image.description="Deploys, verifies and reverts PostgreSQL changes" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/integrations-db/bin:$PATH \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONUNBUFFERED=1
# A number, so that Kubernetes sees that it is not root. Nothing is written but to standard output.
USER 10001:10001
# A project of yours that is mounted here is deployed in place of the one in the image.
WORKDIR /project
STOPSIGNAL SIGTERM
ENTRYPOINT ["integrations-db"]
