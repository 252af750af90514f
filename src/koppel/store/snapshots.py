"""The base of a coupling as bytes: small, fast, and readable after the field list changed.

A base is the two tuples of values (JSON scalars, one a field) on which both sides last agreed. As bytes: version of the
field list and version of the dictionary (16 bits each, little-endian; dictionary 0 is none), then both tuples as JSON,
compressed with Zstandard. Field lists and dictionaries are only ever added to, so every base stays readable.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import zstandard

from koppel.errors import StoreError
from koppel.mapping.model import FieldMapping
from koppel.odata.records import Scalar, Values
from koppel.store.database import Connection

UNKNOWN = msgspec.UNSET
"""Stands where a field has no agreed value: newer than the base, or waiting for its reference."""

Aligned = tuple[Scalar | msgspec.UnsetType, ...]

SAMPLES = 1000
FEWEST_SAMPLES = 100
DICTIONARY_BYTES = 16_384
LEVEL = 1

FIELDS = "SELECT version, fields FROM base_fields WHERE mapping = %s"
# Two processes that come with the same new list get the same version.
ADD_FIELDS = """
INSERT INTO base_fields (mapping, version, fields)
SELECT %(mapping)s, coalesce(max(version), 0) + 1, %(fields)s FROM base_fields WHERE mapping = %(mapping)s
ON CONFLICT DO NOTHING"""
DICTIONARIES = "SELECT version, content FROM base_dictionary WHERE mapping = %s"
ADD_DICTIONARY = "INSERT INTO base_dictionary (mapping, version, content) VALUES (%s, 1, %s) ON CONFLICT DO NOTHING"

_HEADER = struct.Struct("<HH")
_read = msgspec.json.Decoder(tuple[Values, Values]).decode
# No wire value is an array, so an empty one can stand for UNKNOWN in the JSON.
_read_holes = msgspec.json.Decoder(tuple[tuple[Scalar | list[None], ...], tuple[Scalar | list[None], ...]]).decode


class Codec(msgspec.Struct):
    """What it takes to read and write the bases of one mapping. Not for several threads at once.

    ``alignments``: for each version of the field list, where today's fields stood in it (-1: nowhere); none for
    today's own list.
    """

    mapping: str
    fields: tuple[str, ...]
    version: int
    alignments: dict[int, tuple[int, ...] | None]
    dictionary: int
    header: bytes
    compressor: Any
    decompressors: dict[int, Any]


def field_names(fields: Sequence[FieldMapping]) -> tuple[str, ...]:
    """Names by which fields are found again in an older list: both columns, numbered where a pair occurs twice.

    A field with other steps than before is another one: nothing was agreed about what they lead to.
    """
    seen: Counter[str] = Counter()
    names = []
    for field in fields:
        name = f"{field.business_central}|{field.dataverse}"
        if field.to_dataverse or field.from_dataverse:
            name += "|" + msgspec.json.encode([field.to_dataverse, field.from_dataverse]).decode()
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}|{seen[name]}")
    return tuple(names)


async def open_codec(connection: Connection, mapping: str, fields: Sequence[str]) -> Codec:
    """The codec for the present field list of a mapping (unique names).

    Commits, since no base may be stored before its field list: call it before anything of a chunk is saved.
    """
    values = {"mapping": mapping, "fields": list(fields)}
    versions = await _field_lists(connection, mapping)
    while tuple(fields) not in versions.values():
        await connection.execute(ADD_FIELDS, values)
        await connection.commit()
        versions = await _field_lists(connection, mapping)
    dictionaries: dict[int, bytes] = dict(await (await connection.execute(DICTIONARIES, [mapping])).fetchall())
    await connection.commit()
    return make_codec(mapping, tuple(fields), versions, dictionaries)


async def _field_lists(connection: Connection, mapping: str) -> dict[int, tuple[str, ...]]:
    rows = await (await connection.execute(FIELDS, [mapping])).fetchall()
    return {version: tuple(fields) for version, fields in rows}


def make_codec(
    mapping: str, fields: tuple[str, ...], versions: dict[int, tuple[str, ...]], dictionaries: dict[int, bytes]
) -> Codec:
    """A codec from what is stored: field lists and dictionaries by version; ``fields`` is one of the lists."""
    version = next(number for number, names in versions.items() if names == fields)
    decompressors = {0: zstandard.ZstdDecompressor()}
    for number, content in dictionaries.items():
        decompressors[number] = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(content))
    newest = max(dictionaries, default=0)
    return Codec(
        mapping=mapping,
        fields=fields,
        version=version,
        alignments={number: _alignment(names, fields) for number, names in versions.items()},
        dictionary=newest,
        header=_HEADER.pack(version, newest),
        compressor=_compressor(dictionaries.get(newest)),
        decompressors=decompressors,
    )


def _alignment(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[int, ...] | None:
    if old == new:
        return None
    place = {name: index for index, name in enumerate(old)}
    return tuple(place.get(name, -1) for name in new)


def _compressor(content: bytes | None) -> Any:
    dictionary = None
    if content is not None:
        dictionary = zstandard.ZstdCompressionDict(content)
        dictionary.precompute_compress(level=LEVEL)
    return zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary, write_dict_id=False)


def encode(codec: Codec, business_central: Aligned, dataverse: Aligned) -> bytes:
    """A base as bytes; both tuples in the order of the codec's fields."""
    packed: bytes = codec.compressor.compress(orjson.dumps((business_central, dataverse), default=_hole))
    return codec.header + packed


def _hole(value: object) -> list[None]:
    if value is UNKNOWN:
        return []
    raise TypeError(f"{value!r} is no wire value")


def decode(codec: Codec, base: bytes) -> tuple[Aligned, Aligned]:
    """Both tuples in the order of the codec's fields, ``UNKNOWN`` where a field is newer than the base.

    ``StoreError`` when the base is damaged or written by a newer list than the codec knows.
    """
    try:
        version, dictionary = _HEADER.unpack_from(base)
        alignment = codec.alignments[version]
        business_central, dataverse = _values(codec.decompressors[dictionary].decompress(base[4:]))
    except (struct.error, KeyError, zstandard.ZstdError, msgspec.DecodeError) as error:
        raise StoreError(
            "a stored base cannot be read", place=codec.mapping, remedy="Run a full synchronisation of this mapping."
        ) from error
    if alignment is None:
        return business_central, dataverse
    return _align(business_central, alignment), _align(dataverse, alignment)


def _values(text: bytes) -> tuple[Aligned, Aligned]:
    try:
        return _read(text)
    except msgspec.ValidationError:
        business_central, dataverse = _read_holes(text)
        return _filled(business_central), _filled(dataverse)


def _filled(values: tuple[Scalar | list[None], ...]) -> Aligned:
    return tuple(UNKNOWN if isinstance(value, list) else value for value in values)


def _align(values: Aligned, alignment: tuple[int, ...]) -> Aligned:
    return tuple(values[place] if place >= 0 else UNKNOWN for place in alignment)


async def train(connection: Connection, codec: Codec, bases: Sequence[tuple[Aligned, Aligned]]) -> Codec:
    """A codec with a dictionary trained from the first bases of a mapping; the same codec when it has one already or
    there are fewer than 100 bases. Commits: call it before anything of the chunk is saved."""
    if codec.dictionary or len(bases) < FEWEST_SAMPLES:
        return codec
    await connection.execute(ADD_DICTIONARY, [codec.mapping, make_dictionary(bases)])
    await connection.commit()
    return await open_codec(connection, codec.mapping, codec.fields)


def make_dictionary(bases: Sequence[tuple[Aligned, Aligned]]) -> bytes:
    """A dictionary for bases like these, from at least ten of them."""
    step = max(1, len(bases) // SAMPLES)
    chosen = bases[::step][:SAMPLES]
    samples: list[bytes | bytearray | memoryview] = [orjson.dumps(base, default=_hole) for base in chosen]
    content: bytes = zstandard.train_dictionary(DICTIONARY_BYTES, samples).as_bytes()
    return content
