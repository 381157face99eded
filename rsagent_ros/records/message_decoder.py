"""CDR to messages, by the definitions that came with the data; where none did, by those of ROS 2 Jazzy and ours."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rosbags.interfaces import MessageDefinitionFormat, Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from rsagent_ros.agent.errors import describe
from rsagent_ros.records.interfaces import definition as ours
from rsagent_ros.records.interfaces import typestore

FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
"""Formats of definitions, by the names that files give them."""

MAX_DEFINITION = 1_000_000


class MessageDecoder:
    """Decodes the messages of one bag or record."""

    def __init__(self) -> None:
        self._stores: dict[str, Typestore] = {}
        self._seen: set[str] = set()

    def define(self, msgtype: str, encoding: str, definition: str) -> str:
        """Take the definition of a type, unless there was one; returns what is wrong with it, empty if nothing is."""
        if msgtype in self._seen or encoding not in FORMATS or not definition.strip():
            return ""  # with nothing said, or in a language that is not read, those of ROS 2 Jazzy are taken
        self._seen.add(msgtype)
        if self.knows(msgtype) and definition == ours(msgtype):
            return ""  # parsing takes longer than reading a record
        try:
            types = dict(_parsed(msgtype, FORMATS[encoding], definition))
            known = typestore().fielddefs
            if all(known.get(name) == parts for name, parts in types.items()):
                return ""  # ours is the same and made already
            store = get_typestore(Stores.EMPTY)
            store.register({**_missing(types), **types})
            self._stores[msgtype] = store
        except (TypesysError, ValueError, KeyError, RecursionError) as error:
            fallback = "; that of ROS 2 Jazzy is used" if self.knows(msgtype) else ""
            return f"the definition of the type {msgtype} can't be read ({describe(error)}){fallback}"
        return ""

    def knows(self, msgtype: str) -> bool:
        """Whether messages of that type can be decoded."""
        return msgtype in self._stores or msgtype in typestore().fielddefs

    def decode(self, msgtype: str, data: bytes) -> Any:
        """The message in CDR data; its arrays are views of the data.

        Raises:
            ValueError: The data is not that of such a message, or the type is not known.
        """
        if not self.knows(msgtype):
            raise ValueError(f"the type {msgtype} is not known")
        store = self._stores.get(msgtype, typestore())
        try:
            return store.deserialize_cdr(memoryview(data), msgtype)
        except (SerdeError, TypesysError, ValueError, IndexError, KeyError, MemoryError, OverflowError) as error:
            raise ValueError(f"not a message of the type {msgtype}: {describe(error)}") from error


@lru_cache(256)
def _parsed(msgtype: str, form: MessageDefinitionFormat, text: str) -> dict[str, Any]:
    if len(text) > MAX_DEFINITION:
        raise ValueError(f"it has {len(text)} characters")
    if form == MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(text, msgtype))
    types: dict[str, Any] = {}
    # rosbag2 puts several IDL files into one definition, each under a line of its own.
    for part in text.split("=" * 80 + "\n"):
        types |= get_types_from_idl(part.partition("\n")[2] if part.startswith("IDL: ") else part) if part else {}
    return types


def _missing(types: dict[str, Any]) -> dict[str, Any]:
    """The types of ROS 2 Jazzy that a definition is made of but does not bring: some writers leave them out."""
    known = typestore().fielddefs
    needed: dict[str, Any] = {}
    names = [name for _, fields in types.values() for _, kind in fields for name in _named(kind)]
    while names:
        name = names.pop()
        if name not in types and name not in needed:
            if name not in known:
                raise ValueError(f"it is made of {name}, which is not defined")
            needed[name] = known[name]
            names += [inner for _, kind in known[name][1] for inner in _named(kind)]
    return needed


def _named(kind: Any) -> list[str]:
    """The message types that a field is made of."""
    node, detail = kind
    if node is Nodetype.NAME:
        return [detail]
    return [] if node is Nodetype.BASE else _named(detail[0])
