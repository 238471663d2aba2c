"""What docs/install.md tells to type exists, and what it says of rights is so."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.deploy.agents import AGENTS, mounts, spec_of
from tests.helpers.helm import CHART, NAMESPACE, Object, Right, helm, one, rendered, rights
from tests.helpers.offmesh import ROOT
from xds_server.cli import main
from xds_server.cluster.request import Request, refusal
from xds_server.sources.kubernetes.kinds import AGENT_LABEL
from xds_server.sources.placement.parse import parse_placement_map

IMAGE = "registry.example/offmesh:0.1.0"
PAGES = [ROOT / "docs" / "install.md", ROOT / "deploy" / "README.md"]
PAGE = PAGES[0].read_text()
PLACES = {
    "all namespaces": "",
    "`default`": "default",
    "the release's": NAMESPACE,
    "the map's": NAMESPACE,
    "Istio's": NAMESPACE,
    "the Leases'": NAMESPACE,
}


def blocks(language: str, page: str = PAGE) -> list[str]:
    """Return the code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Return the arguments of each call of a program: by itself, for a variable, or in a container."""
    lines = [
        line.removeprefix("$ ")
        for page in PAGES
        for block in blocks("console", page.read_text())
        for line in block.replace("\\\n", "").splitlines()
        if line.startswith("$ ")
    ]
    words = [shlex.split(re.sub(r"^\w+=\$\(|\)$", "", line)) for line in lines]
    inside = [line[line.index("--") + 1 :] for line in words if "--" in line]
    return [line[1:] for line in (*words, *inside) if line[0] == program]


def rows(heading: str, table: int = 0) -> list[list[str]]:
    """Return the cells of a table below a heading; the hashes are stated of one that is not of level 2."""
    heading = heading if heading.startswith("#") else f"## {heading}"
    section = re.split(r"\n##+ ", PAGE.partition(f"\n{heading}\n")[2])[0]
    tables = [text for text in re.split(r"\n\n", section) if text.strip().startswith("| ")]
    lines = [line.strip("| ") for line in tables[table].strip().splitlines()]
    return [re.split(r"\s*\|\s*", line) for line in lines[2:]]


def stated_rights(heading: str = "Rights") -> Iterator[tuple[str, Right]]:
    """Yield each right of a table with the value that grants it."""
    for place, what, verbs, _reason, *value in rows(heading):
        kinds, _, names = what.partition(": ")
        for resource in re.findall(r"`(.+?)`", kinds):
            for verb in verbs.split(", "):
                for name in re.findall(r"`(.+?)`", names) or [""]:
                    yield "".join(value).strip("`"), Right(PLACES[place], verb, resource, name)


def test_the_rights_are_those_of_the_chart() -> None:
    assert {right for _, right in stated_rights()} == rights(rendered())
    assert {right for _, right in stated_rights("### Of agents")} == rights(rendered(AGENTS), "offmesh-agent")


def test_the_files_of_a_node_are_those_that_its_agent_has() -> None:
    stated = {(path.strip("`"), access) for path, access, _reason in rows("### Of agents", 1)}
    of_node = {
        path: mount for path, mount in mounts(rendered(AGENTS)).items() if "hostPath" in mount["volume"]
    }
    assert stated == {(path, "read" if it.get("readOnly") else "write") for path, it in of_node.items()}


@pytest.mark.parametrize(
    "value", ["rbac.istioResources", "certificateAuthority.rootConfigMaps", "liveness.reports"]
)
def test_a_value_grants_the_rights_it_is_said_to(value: str) -> None:
    section, _, key = value.partition(".")
    without = rights(rendered({section: {key: False}}))
    assert rights(rendered()) - without == {right for by, right in stated_rights() if by == value}


def test_a_volume_takes_the_rights_to_secrets_away() -> None:
    without = rights(rendered({"certificateAuthority": {"volume": {"hostPath": {"path": "/certs"}}}}))
    named = "certificateAuthority.secrets"
    assert rights(rendered()) - without == {right for by, right in stated_rights() if by == named}


def test_every_call_of_helm_renders() -> None:
    calls = [call for call in commands("helm") if str(CHART.relative_to(ROOT)) in " ".join(call)]
    assert len(calls) >= 9
    for call in calls:
        verb, release, _chart, *given = call[: call.index(">")] if ">" in call else call
        assert verb in ("install", "upgrade", "template")
        if verb == "upgrade":
            given.remove("--reset-then-reuse-values")
        files = [str(ROOT / word) if word.endswith(".yaml") else word for word in given]
        made = helm("template", release, str(CHART), *files)
        assert made.returncode == 0, made.stderr


def test_every_file_that_is_applied_is_there() -> None:
    files = [call[call.index("-f") + 1] for call in commands("kubectl") if "apply" in call]
    assert files
    rendered_before = {call[call.index(">") + 1] for call in commands("helm") if ">" in call}
    assert all((ROOT / name).is_file() for name in files if name not in rendered_before)


def test_every_call_of_offmesh_is_one_it_takes() -> None:
    contained = [call[call.index(IMAGE) + 1 :] for call in commands("docker") if call[0] == "run"]
    calls = commands("offmesh") + contained
    assert len(calls) >= 3
    for call in calls:
        names = list(call)
        command: click.Command | None = main
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), names.pop(0))
        assert command is not None, call
        command.make_context(str(command.name), names)


@pytest.mark.parametrize("code", [401, 403])
def test_the_reasons_it_explains_are_those_that_are_given(code: int) -> None:
    told = str(refusal(Request("GET", "/api/v1/pods", right="a right"), code))
    reasons = [cells[0].strip("`").removesuffix("…").strip() for cells in rows("When it is not ready")]
    assert [reason for reason in reasons if reason in told]


def test_every_placement_map_is_right() -> None:
    maps = [text for text in blocks("yaml") if text.startswith("pairs:")]
    assert maps
    for text in maps:
        parse_placement_map(text.encode(), "docs/install.md")


def test_every_set_of_values_renders() -> None:
    sets = [yaml.safe_load(text) for text in blocks("yaml") if text.startswith("# values of the chart\n")]
    assert sets
    for values in sets:
        assert one(rendered(values), "Deployment")


def test_every_value_that_is_named_is_one_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    ours = [
        name for name in re.findall(r"`([a-z]\w+\.[a-zA-Z.]+)`", PAGE) if name.partition(".")[0] in values
    ]
    assert len(ours) > 10
    for name in ours:
        _value(values, name)


def _value(values: Any, name: str) -> Any:
    for key in name.split("."):
        assert key in values, name
        values = values[key]
    return values


def test_objects_that_are_named_are_those_of_the_chart() -> None:
    objects: list[Object] = rendered(AGENTS)
    kinds = ("deployment/", "daemonset/")
    named = {word for call in commands("kubectl") for word in call if word.startswith(kinds)}
    there = {f"{item['kind'].lower()}/{item['metadata']['name']}" for item in objects}
    assert named == {name for name in there if name.startswith(kinds)}


def test_labels_that_objects_are_looked_up_by_are_theirs() -> None:
    asked = [call[call.index("-l") + 1] for call in commands("kubectl") if "-l" in call]
    pods = spec_of(rendered(AGENTS))["template"]["metadata"]["labels"]
    assert set(asked) == {f"app.kubernetes.io/name={pods['app.kubernetes.io/name']}", f"{AGENT_LABEL}=true"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        aimed = (page.parent / path).resolve() if path else page
        assert aimed.exists(), target
        assert not heading or heading in _headings(aimed), target


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
