"""The made-up mesh as an API server has it in its store, with what a live cluster has beside it."""

from collections.abc import Iterator

from bench.layout import Size
from bench.mesh import objects, placement_map
from bench.objects import BORN, Json

NAMESPACE = "istio-system"
"""The server's own."""
PLACEMENT_MAP = f"{NAMESPACE}/offmesh-conf"


def stored_objects(size: Size) -> Iterator[Json]:
    """
    Yield every object as the store has it.

    A pod has about 3.2 kB of JSON: watches are sent the managed fields that ``kubectl get`` hides.
    """
    for item in objects(size):
        meta = {name: value for name, value in item["metadata"].items() if name != "resourceVersion"}
        if item["kind"] == "Pod":
            meta["managedFields"] = _managed_fields(item)
        yield item | {"metadata": meta}


def own_objects(size: Size) -> list[Json]:
    """Return what an operator applies for the server: its namespace and the placement map."""
    inside, _, name = PLACEMENT_MAP.partition("/")
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": inside}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": inside},
            "data": {"cluster-conf.yaml": placement_map(size)},
        },
    ]


def listed_counts(size: Size) -> dict[str, int]:
    """Return how many objects each list of the API server has; it makes one service for itself."""
    return {
        "/api/v1/nodes": size.nodes,
        "/api/v1/services": size.services + 1,
        "/apis/discovery.k8s.io/v1/endpointslices": size.services + 1,
        "/api/v1/pods": size.pods,
    }


def resource_count(size: Size) -> int:
    """Return how many resources a client holds: workloads and services, two being the API server's own."""
    return size.pods + size.services + 2


def _managed_fields(pod: Json) -> list[Json]:
    """Tell who wrote which fields, as the API server notes it of a pod's creation."""
    meta = ("generateName", "annotations", "labels", "ownerReferences")
    container: Json = {f"f:{name}": {} for name in pod["spec"]["containers"][0]}
    name = pod["spec"]["containers"][0]["name"]
    spec: Json = {f"f:{name}": {} for name in ("dnsPolicy", "enableServiceLinks", "restartPolicy")}
    spec["f:containers"] = {f'k:{{"name":"{name}"}}': {".": {}} | container}
    return [
        {
            "manager": "kube-controller-manager",
            "operation": "Update",
            "apiVersion": "v1",
            "time": BORN,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {f"f:{name}": {} for name in meta}, "f:spec": spec},
        }
    ]
