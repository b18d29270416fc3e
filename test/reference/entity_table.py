"""
Writes src/models/text/caption-cleaning-entity-table.ts from Python's copy of the HTML standard's named references.

    python test/reference/entity_table.py
"""
import textwrap
from html.entities import html5
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent.parent / "src/models/text/caption-cleaning-entity-table.ts"

entries = [
    name[:-1] + ("!" if name[:-1] in html5 else ":") + "+".join(f"{ord(c):x}" for c in value)
    for name, value in sorted(html5.items())
    if name.endswith(";")
]
assert all(name.endswith(";") or name + ";" in html5 for name in html5)
lines = textwrap.wrap(" ".join(entries), 118, break_long_words=False, break_on_hyphens=False)
OUT.write_text(
    "/**\n"
    " * The HTML standard's named character references (html.spec.whatwg.org, named-characters.html), made by\n"
    " * test/reference/entity_table.py: `name:code` in hexadecimal, several codes joined by `+`; `name!code` where the\n"
    " * semicolon may be missing.\n"
    " */\n"
    "export const ENTITY_TABLE = `\n" + "\n".join(lines) + "\n`;\n"
)
