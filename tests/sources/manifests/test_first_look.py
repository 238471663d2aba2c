"""The one ConfigMap that is looked for before the manifests are loaded."""

import json
from pathlib import Path

import pytest

from xds_server.exceptions import InputError
from xds_server.sources.manifests.first_look import find_config_map

KEY = "istio-system/istio"


def config_map(domain: str = "corp.example", name: str = "istio") -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: istio-system}}\n"
        f"data: {{mesh: 'trustDomain: {domain}'}}\n"
    )


def as_json(kind: str, item_kind: str) -> str:
    item = {"metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": "trustDomain: corp"}}
    named = {"apiVersion": "v1", "kind": item_kind, **item} if item_kind else item
    return json.dumps({"apiVersion": "v1", "kind": kind, "items": [named]})


def found(folder: Path, **files: str) -> str | None:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    config_map = find_config_map([folder], KEY)
    return config_map.data.mesh if config_map and config_map.data else None


@pytest.mark.parametrize(
    "files",
    [
        {"mesh_yaml": config_map()},
        {"mesh_yaml": f"kind: Pod\n---\n{config_map(name='other')}---\n{config_map()}"},
        {"a_yaml": config_map(), "b_yaml": config_map("other.example")},
        {"a_yaml": "kind: Pod {", "b_yaml": "kind: ConfigMap\n  broken", "c_yaml": config_map()},
        {"mesh_yaml": config_map().replace("kind: ConfigMap", "'kind' : \"ConfigMap\"")},
    ],
)
def test_it_is_the_definition_that_will_be_in_force(tmp_path: Path, files: dict[str, str]) -> None:
    assert found(tmp_path, **files) == "trustDomain: corp.example"


@pytest.mark.parametrize(("kind", "item_kind"), [("List", "ConfigMap"), ("ConfigMapList", "")])
def test_it_may_be_in_a_list(tmp_path: Path, kind: str, item_kind: str) -> None:
    assert found(tmp_path, mesh_json=as_json(kind, item_kind)) == "trustDomain: corp"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"other_yaml": config_map(name="other")},
        {"elsewhere_yaml": config_map().replace("istio-system", "elsewhere")},
        {"notes_txt": config_map()},
        {"pods_yaml": "kind: Pod\nmetadata: {name: trustDomain"},
    ],
)
def test_there_may_be_none(tmp_path: Path, files: dict[str, str]) -> None:
    assert found(tmp_path, **files) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (config_map().replace("'trustDomain", "[trustDomain").replace("example'", "example]"), "data.mesh"),
        (config_map() + "  broken: [", "its YAML is unusable"),
        ("kind: ConfigMap\ndata: {mesh: 'rootNamespace: x'", "its YAML is unusable"),
    ],
)
def test_one_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        found(tmp_path, mesh_yaml=text)
    assert str(refused.value).startswith(str(tmp_path / "mesh.yaml"))


def test_a_file_may_be_named_and_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "istio").write_text(config_map())
    assert find_config_map([tmp_path / "missing", tmp_path / "istio"], KEY) is not None
