"""A plan as programs read it."""

import json

from tests.datapath.plan_examples import MARKED, NODE, POD_1, PODS, observed, planned
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import plan
from xds_server.datapath.plan_json import as_json
from xds_server.datapath.program import IpSet


def test_changes_steps_and_the_way_back_are_told() -> None:
    made = planned(observed(rules=NODE.rules[1:]))
    words = "priority 101 fwmark 0x100/0x100 lookup 101 protocol 76"
    assert as_json(made) == {
        "program": "example",
        "converged": False,
        "clashes": [],
        "changes": [{"kind": "rule", "sign": "+", "object": words, "now": "", "wanted": "", "rules": []}],
        "steps": [
            {
                "step": "AddRule",
                "commands": [{"argv": ["ip", "rule", "add", *words.split()]}],
                "undo": [{"argv": ["ip", "rule", "delete", *words.split()]}],
            }
        ],
    }


def test_what_a_command_reads_is_a_text_with_every_line_ended() -> None:
    held = IpSet(PODS, NODE.sets[0].members - {(POD_1, "uid-1")})
    tag, fill = as_json(planned(observed(sets=(held,))))["steps"]
    assert fill["commands"] == [
        {"argv": ["ipset", "-exist", "restore"], "stdin": f'add {PODS} {POD_1} comment "uid-1"\n'}
    ]
    assert tag["commands"][0] == {
        "argv": ["conntrack", "-U", "--src", str(POD_1), "--mark", "0x220/0x220"],
        "note": "only where the mark has no bit of 0x220 yet",
    }
    assert tag["undo"] == []


def test_a_converged_node_has_neither_changes_nor_steps() -> None:
    told = as_json(planned(observed()))
    assert (told["converged"], told["changes"], told["steps"]) == (True, [], [])


def test_all_of_it_is_json_and_names_the_tool_of_the_node() -> None:
    made = plan(Observed(held=NODE, clashes=(f"rule {MARKED.priority} of others",)), NODE)
    told = json.loads(json.dumps(as_json(made, "legacy")))
    assert told["clashes"] == ["rule 101 of others"]
    assert [step["commands"][0]["argv"][0] for step in told["steps"]] == ["iptables-legacy-restore"] * 2
