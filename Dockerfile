# Two stages: the second has no compiler, no package manager's cache and no shell needed at run time.
# One image for servers and agents, and nobody is root in it unless that is asked for: only an agent has to be.
# Run it with a read-only root file system. It writes to the volume of its certificate authority, where that
# is no Secret of a cluster; to /tmp the credentials of a kubeconfig; and to --ready-file, if given. An agent
# writes to --state-dir.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY xds_server xds_server
RUN python -m venv /opt/offmesh \
    && /opt/offmesh/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock \
    && /opt/offmesh/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/offmesh/bin/pip uninstall --yes pip setuptools

FROM python:3.12-slim
# What the agent programs nodes with: both kinds of iptables, and ipset. iptables-legacy loads its modules by kmod.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends iptables ipset kmod \
    && rm -rf /var/lib/apt/lists/*
# On the PATH, so that `kubectl exec ... -- offmesh status` works.
ENV PATH=/opt/offmesh/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    OFFMESH_CERTS=/var/lib/offmesh/certs
RUN install --directory --mode 0700 --owner 65532 --group 65532 /var/lib/offmesh/certs
VOLUME /var/lib/offmesh/certs
COPY --from=build /opt/offmesh /opt/offmesh
USER 65532:65532
EXPOSE 15012 15014 8080
ENTRYPOINT ["offmesh"]
CMD ["serve"]
