"""What the chart starts a server with."""

import pytest

from tests.helpers.helm import (
    CLAIM,
    EVERYTHING,
    NAMESPACE,
    SECOND_CLUSTER,
    SETS,
    Values,
    flags,
    names,
    rendered,
)
from tests.helpers.offmesh import ROOT
from xds_server.cli.serve import serve
from xds_server.identity.server_certificate import names_of
from xds_server.settings import ServeSettings

FLAGS: list[tuple[Values, set[str], set[str]]] = [
    (
        {},
        {
            "--cluster-conf-configmap=istio-system/offmesh-conf",
            "--ca-secrets=cacerts,istio-ca-secret",
            "--root-config-maps",
            "--trusted-node-accounts=istio-system/ztunnel",
            "--lease-namespace=istio-system",
            "--unhealthy-pairs=unhealthy",
            "--client-certificates",
            "--log-format=json",
        },
        {
            "--trust-domain",
            "--root-namespace",
            "--network",
            "--tls-san",
            "--http-address",
            "--http-host",
            "--dpu-kubeconfig",
            "--certs",
        },
    ),
    (
        EVERYTHING,
        {
            "--network=hall-1",
            "--trust-domain=mesh.example",
            "--cluster-id=hall",
            "--tls-san=192.0.2.7",
            "--no-client-certificates",
            "--http-address=:15014",
            "--http-host=offmesh.istio-system.svc",
            "--http-host=mesh.example",
        },
        {"--client-certificates"},
    ),
    (
        {"certificateAuthority": {"volume": CLAIM, "rootConfigMaps": False}},
        {"--ca-secrets=", "--certs=/var/lib/offmesh/certs", "--no-root-config-maps"},
        {"--root-config-maps"},
    ),
    (
        {"identity": {"trustedNodeAccounts": ["istio-system/ztunnel", "istio-dpu/ztunnel"]}},
        {"--trusted-node-accounts=istio-system/ztunnel,istio-dpu/ztunnel"},
        set(),
    ),
    (
        {"placement": {"configMap": {"namespace": "kube-system", "name": "map"}}},
        {"--cluster-conf-configmap=kube-system/map"},
        set(),
    ),
    ({"mesh": {"rootNamespace": "mesh-root"}}, {"--root-namespace=mesh-root"}, {"--trust-domain"}),
    ({"mesh": {"revision": "canary"}}, {"--revision=canary", "--istio-resources"}, set()),
    ({"rbac": {"istioResources": False}}, {"--no-istio-resources"}, {"--istio-resources", "--revision"}),
    ({"liveness": {"unhealthyPairs": "withdraw"}}, {"--unhealthy-pairs=withdraw"}, set()),
    ({"liveness": {"leaseNamespace": "dpus"}}, {"--lease-namespace=dpus"}, set()),
    (
        SECOND_CLUSTER,
        {"--dpu-kubeconfig=/etc/offmesh/dpu-cluster/kubeconfig", "--dpu-context=dpus"},
        set(),
    ),
]


@pytest.mark.parametrize(("values", "there", "absent"), FLAGS)
def test_values_become_flags(values: Values, there: set[str], absent: set[str]) -> None:
    given = flags(rendered(values))
    assert there <= set(given)
    assert not absent & {flag.partition("=")[0] for flag in given}


@pytest.mark.parametrize("values", SETS)
def test_every_flag_is_one_of_the_server(values: Values) -> None:
    known = {name for option in serve.params for name in (*option.opts, *option.secondary_opts)}
    given = {flag.partition("=")[0] for flag in flags(rendered(values))}
    assert given <= known


@pytest.mark.parametrize("values", [one for one in SETS if one.id != "second cluster"])
def test_every_flag_has_a_value_the_server_takes(values: Values) -> None:
    serve.make_context("serve", flags(rendered(values)))


@pytest.mark.parametrize("namespace", [NAMESPACE, "mesh"])
@pytest.mark.parametrize("istiod", [True, False])
def test_the_certificate_of_the_server_names_every_service(namespace: str, istiod: bool) -> None:
    objects = rendered({"services": {"istiod": {"enabled": istiod}}}, namespace=namespace)
    told = {flag.removeprefix("--tls-san=") for flag in flags(objects) if flag.startswith("--tls-san=")}
    known = told | set(names_of(ServeSettings(manifests=(), cluster_conf=ROOT)))
    services = names(objects, "Service")
    assert services == ({"istiod", "offmesh"} if istiod else {"offmesh"})
    assert {f"{name}.{namespace}.svc" for name in services} <= known
    assert {f"{name}.{namespace}.svc.cluster.local" for name in services} <= known
