"""Names of tables, as iproute2 has them."""

from pathlib import Path

import pytest

from xds_server.datapath.table_names import table_names

RESERVED = "255\tlocal\n254\tmain\n253\tdefault\n0\tunspec\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {}),
        (RESERVED, {}),
        (
            f"#\n{RESERVED}#1 inr.ruhep\n 100 isp1 # the second uplink\n0x65\tisp2\n",
            {100: "isp1", 101: "isp2"},
        ),
        ("nonsense\n100\n0xzz a\n100 a b\nx y\n", {}),
    ],
)
def test_names_are_told_with_their_file(text: str, names: dict[int, str], tmp_path: Path) -> None:
    path = tmp_path / "rt_tables"
    path.write_text(text)
    assert table_names([tmp_path]) == {number: f"{name} in {path}" for number, name in names.items()}


def test_folders_add_up_and_the_last_has_the_last_word(tmp_path: Path) -> None:
    for folder, text in (("usr", "100 a\n101 b\n"), ("etc", "100 c\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rt_tables").write_text(text)
    drop_in = tmp_path / "etc" / "rt_tables.d" / "own.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("102 d\n")
    (drop_in.parent / "README").write_text("103 e\n")
    assert table_names([tmp_path / "usr", tmp_path / "etc", tmp_path / "gone"]) == {
        100: f"c in {tmp_path / 'etc' / 'rt_tables'}",
        101: f"b in {tmp_path / 'usr' / 'rt_tables'}",
        102: f"d in {drop_in}",
    }
