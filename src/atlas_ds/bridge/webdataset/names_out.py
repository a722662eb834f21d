"""Checks whether keys and fields can be read back unchanged from a WebDataset tar. It reports
faults and what to do; it changes no names.

A member is called KEY.FIELD. webdataset splits the last part of the path at its first dot, skips
names reserved for its own metadata, and returns fields in lower case; wids and tar have other
rules. A name that any of the three would drop, merge or rename is a fault.
"""

from __future__ import annotations

import re

_PLAIN_KEY = re.compile(r"[A-Za-z0-9-][A-Za-z0-9_-]*(?:/[A-Za-z0-9-][A-Za-z0-9_-]*)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RENAME_KEY = "change the keys, or pass key= another column or a function"
_RENAME_FIELD = 'give another name: fields={"column": "name.extension"}'


def key_fault(key: str) -> str | None:
    """What is wrong with a key and what to do; None if nothing is."""
    if _PLAIN_KEY.fullmatch(key):
        return None
    parts = key.split("/")
    if not key:
        return f"the key is empty, and such a sample is dropped; {_RENAME_KEY}"
    if fault := _character_fault(key):
        return f"the key {fault}; {_RENAME_KEY}"
    if not {"", ".", ".."}.isdisjoint(parts):
        return f"the key is not a plain relative path (no empty part, no '.' or '..'), so it gets another name when unpacked; {_RENAME_KEY}"
    if "." in parts[-1]:
        return f"the key has a dot in its last part, where webdataset would end it and merge samples; {_RENAME_KEY}"
    if len(parts) > 1 and len(parts[0]) >= 4 and parts[0].startswith("__") and parts[0].endswith("__"):
        return f"webdataset skips files in a folder such as {parts[0]}/; {_RENAME_KEY}"
    return None


def field_fault(field: str) -> str | None:
    """What is wrong with a field and what to do; None if nothing is."""
    if not field:
        return f"the field is empty; {_RENAME_FIELD}"
    if fault := _character_fault(field):
        return f"the field {fault}; {_RENAME_FIELD}"
    if "/" in field:
        return f"the field has a '/', which would make it part of the key; {_RENAME_FIELD}"
    if field != field.lower():
        return f"the field has capital letters, and webdataset returns fields in lower case; {_RENAME_FIELD}"
    if field.startswith("__") or field.endswith("__"):
        return f"the field begins or ends with '__', which marks webdataset's own metadata; {_RENAME_FIELD}"
    return None


def _character_fault(name: str) -> str | None:
    if _CONTROL.search(name):
        return "has a control character, where readers truncate or split names"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a lone surrogate, which no tar can hold"
    return None
