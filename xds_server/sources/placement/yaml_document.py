"""One YAML document, read to its end or to where the text stops being YAML."""

from collections.abc import Callable

import yaml

from xds_server.sources.placement.findings import Findings
from xds_server.sources.placement.yaml_shapes import Shapes


def read_document(text: bytes, findings: Findings, read: Callable[[Shapes], None]) -> None:
    """Let ``read`` take what it expects out of ``text``, and note why it could not read on."""
    try:
        text.decode()
        shapes = Shapes(text, findings)
        read(shapes)
    except UnicodeDecodeError as error:
        found = f"byte 0x{text[error.start]:02x}"
        findings.add(_line_at(text, error.start), "encoding", found, "UTF-8")
    except yaml.reader.ReaderError as error:
        findings.add(_line_at(text, error.position), "syntax", f"wrong ({error.reason})", "YAML")
    except yaml.MarkedYAMLError as error:
        _add_syntax(error, text.decode().splitlines() or [""], findings)


def _line_at(text: bytes, position: int) -> int:
    return text.count(b"\n", 0, position) + 1


def _add_syntax(error: yaml.MarkedYAMLError, lines: list[str], findings: Findings) -> None:
    line = min(error.problem_mark.line if error.problem_mark else 0, len(lines) - 1)
    margin = len(lines[line]) - len(lines[line].lstrip(" \t-"))
    if "\t" in lines[line][:margin]:
        findings.add(line + 1, "indentation", "a tab", "spaces")
        return
    why = str(error.problem)
    begun = error.context_mark
    if error.context and begun and begun.line < line:
        why += f" {error.context} that begins in line {begun.line + 1}"
    findings.add(line + 1, "syntax", f"wrong ({why})", "YAML")
