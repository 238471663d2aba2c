"""What the mesh's own ConfigMap decides while the mesh is served (facts wds, 0.1 and 3.7)."""

from collections.abc import Mapping
from dataclasses import replace

from xds_server.exceptions import HeldInputError, InputError
from xds_server.objects.kubernetes import MeshConfigMap, Namespace
from xds_server.objects.label_selectors import LabelSelector
from xds_server.objects.mesh_config import (
    MESH_NAMES,
    MeshConfig,
    MeshName,
    ServiceEntryVisibility,
    VisibilityPolicy,
    parse_mesh_config,
    parse_mesh_names,
)
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

PUBLIC, NAMESPACE, NONE = "PUBLIC", "NAMESPACE", "NONE"
_DEFAULTS = MeshSettings()
_NAME_LABEL = "kubernetes.io/metadata.name"


def config_map_name(revision: str) -> str:
    """Name the ConfigMap as Istio does: each revision but the default one has its own."""
    return f"istio-{revision}" if revision not in ("", "default") else "istio"


def config_map_key(settings: MeshSettings) -> str:
    return f"{settings.istio_namespace}/{config_map_name(settings.revision)}"


def names_said(settings: MeshSettings, config_map: MeshConfigMap | None) -> dict[MeshName, str]:
    """
    Return each name of the mesh that no flag says: as Istio's ConfigMap says it, else the default.

    Raises:
        InputError: what the ConfigMap says of one cannot be used.

    """
    if not settings.unsaid:
        return {}
    text = (config_map.data.mesh if config_map and config_map.data else None) or ""
    said = parse_mesh_names(text, settings.unsaid)
    return {name: said.get(name, getattr(_DEFAULTS, name)) for name in settings.unsaid}


def with_names(settings: MeshSettings, config_map: MeshConfigMap | None) -> MeshSettings:
    """
    Return settings in which Istio's ConfigMap has said what no flag says.

    Raises:
        InputError: it cannot be used, and a mesh of other names must not be served instead.

    """
    try:
        names = names_said(settings, config_map)
    except InputError as error:
        flags = " and ".join(MESH_NAMES[name].flag for name in settings.unsaid)
        raise InputError(f"ConfigMap {config_map_key(settings)}: {error}; or {flags} given") from None
    return replace(
        settings,
        trust_domain=names.get("trust_domain", settings.trust_domain),
        root_namespace=names.get("root_namespace", settings.root_namespace),
        system_namespace=settings.istio_namespace,
    )


class MeshConfigs:
    """The collections of what is set in ConfigMap ``istio`` of Istio's namespace: none or one row each."""

    def __init__(
        self,
        graph: Graph,
        config_maps: Collection[MeshConfigMap],
        namespaces: Collection[Namespace],
        settings: MeshSettings,
    ) -> None:
        self._settings = settings
        self.key = config_map_key(settings)
        configs: Collection[MeshConfig] = Mapped(graph, "mesh config", config_maps, self._config)
        self.discovery_selectors = Mapped(graph, "discovery selectors", configs, _discovery_selectors)
        self._visibility = Mapped(graph, "service entry visibility", configs, _visibility)
        self.namespace_labels: Collection[dict[str, str]] = Mapped(
            graph, "namespace labels", namespaces, _labels
        )

    def _config(self, fetch: Fetch, key: str, config_map: MeshConfigMap) -> MeshConfig | None:
        if key != self.key or config_map.data is None:
            return None
        config = parse_mesh_config(config_map.data.mesh or "")
        _check_selectors(config)
        for name, (field, flag, _, _) in MESH_NAMES.items():
            said, in_force = getattr(config, name), getattr(self._settings, name)
            if said and said != in_force and name not in self._settings.unsaid:
                fetch.note(
                    f"mesh.{field} is {said!r}: expected {in_force!r}, which {flag} says and is in force"
                )
        return config

    def visibility(self, fetch: Fetch, namespace: str) -> str:
        """Return who may find ServiceEntries of a namespace: ``PUBLIC``, ``NAMESPACE`` or ``NONE``."""
        rules = fetch.one(self._visibility, self.key)
        if rules is None:
            return PUBLIC
        labels = fetch.one(self.namespace_labels, namespace) or {_NAME_LABEL: namespace}
        for policy in rules.policies or ():
            if _applies(policy, labels):
                return _known(policy.visibility)
        return _known(rules.default_visibility)


def _known(visibility: str | None) -> str:
    return visibility if visibility in (NAMESPACE, NONE) else PUBLIC


def _applies(policy: VisibilityPolicy, labels: Mapping[str, str]) -> bool:
    """A rule that asks for nothing known matches nothing; a policy without rules matches everything."""
    return all(
        rule.namespace_selector is not None and rule.namespace_selector.matches(labels)
        for rule in policy.matching_rules or ()
    )


def _check_selectors(config: MeshConfig) -> None:
    rules = config.service_entry_visibility
    policies = (rules.policies if rules else None) or ()
    selectors = [
        *(config.discovery_selectors or ()),
        *(rule.namespace_selector for policy in policies for rule in policy.matching_rules or ()),
    ]
    try:
        for selector in selectors:
            if selector is not None:
                selector.matches({})
    except InputError as error:
        raise HeldInputError(f"data.mesh: {error}; what it said before stays in force") from None


def _discovery_selectors(_fetch: Fetch, _key: str, config: MeshConfig) -> tuple[LabelSelector, ...] | None:
    return config.discovery_selectors or None


def _visibility(_fetch: Fetch, _key: str, config: MeshConfig) -> ServiceEntryVisibility | None:
    return config.service_entry_visibility


def _labels(_fetch: Fetch, key: str, namespace: Namespace) -> dict[str, str]:
    """The API server keeps the label of the name on every namespace; manifests may leave it out."""
    return {_NAME_LABEL: key, **namespace.labels}
