"""What a user's query may name on a server: a database server can do far more than read tables.

A read-only transaction stops changes of tables, but not functions that wait, read files of the server, end other
sessions or keep locks. So the names in a query are looked at before it runs: it may call what computes, and reads no
system catalogue. This fences off slips and curious dashboards; who has the database's password has the database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from batchml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["check_names", "names"]

# Volatile, and yet they only compute.
_HARMLESS = frozenset({"clock_timestamp", "gen_random_uuid", "random", "random_normal", "timeofday"})
_SYSTEM = ("pg_", "lo_", "dblink")

_TOKEN = re.compile(
    r"""
    (?P<skip> \s+ | --[^\r\n]* )
    | (?P<comment> /\* )
    | (?P<unicode> [uU]& ['"] )
    | (?P<escaped> [eE]' )
    | (?P<string> (?:[bBxXnN])?' )
    | (?P<quoted> "(?P<inner>(?:[^"]|"")*)" )
    | (?P<dollar> \$(?P<tag>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$ )
    | (?P<name> [A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]* )
    | (?P<number> \.?[0-9][0-9A-Za-z_.]* )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING = re.compile(r"(?:[^']|'')*'", re.DOTALL)
_ESCAPED = re.compile(r"(?:[^'\\]|''|\\.)*'", re.DOTALL)
_GOES_ON = re.compile(r"(?:[^\S\r\n]|--[^\r\n]*)*[\r\n](?:\s|--[^\r\n]*[\r\n])*'", re.DOTALL)
_COMMENT = re.compile(r"/\*|\*/")


def names(query: str) -> set[str]:
    """Return the names in a query of PostgreSQL, as the server reads them: not what stands in strings and comments.

    Raises
    ------
    ConfigError
        The query ends within a string or comment, or spells names in escapes.

    Examples
    --------
    >>> sorted(names("SELECT Max(x) FROM t WHERE y = 'pg_sleep' -- pg_sleep(1)"))
    ['from', 'max', 'select', 't', 'where', 'x', 'y']
    """
    found: set[str] = set()
    at = 0
    while at < len(query):
        token = _TOKEN.match(query, at)
        assert token is not None
        at = token.end()
        kind = token.lastgroup if token.lastgroup not in {"inner", "tag"} else None
        if token["unicode"]:
            raise ConfigError(
                'the query cannot be run: names and text in U& escapes are not read; write them as "name"'
            )
        if kind == "name":
            found.add(token["name"].lower())
        elif token["quoted"]:
            found.add(token["inner"].replace('""', '"'))
        elif token["comment"]:
            at = _after_comment(query, at)
        elif token["escaped"]:
            at = _after_string(query, at, _ESCAPED)
        elif token["string"]:
            at = _after_string(query, at, _STRING)
        elif token["dollar"]:
            at = _after(query, at, query.find(token["dollar"], at), len(token["dollar"]))
    return found


def _after_comment(query: str, at: int) -> int:
    """Comments nest."""
    depth = 1
    for mark in _COMMENT.finditer(query, at):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    raise ConfigError("the query cannot be run: a comment does not end")


def _after_string(query: str, at: int, pattern: re.Pattern[str]) -> int:
    """A string goes on in the next line, in the same kind of quotes."""
    while True:
        rest = pattern.match(query, at)
        if rest is None:
            raise ConfigError("the query cannot be run: a string does not end")
        at = rest.end()
        more = _GOES_ON.match(query, at)
        if more is None:
            return at
        at = more.end()


def _after(query: str, at: int, found: int, length: int) -> int:
    if found < at:
        raise ConfigError("the query cannot be run: a string does not end")
    return min(found + length, len(query))


def check_names(cursor: Any, query: str) -> None:
    """Refuse a query that names system tables, or functions that do more than compute.

    Parameters
    ----------
    cursor
        Of a psycopg connection to the server that would run it.

    Raises
    ------
    ConfigError
        Naming what is refused.
    """
    named = names(query)
    _refuse(name for name in sorted(named) if name.lower().startswith(_SYSTEM))
    cursor.execute(
        """
        SELECT DISTINCT p.proname::text
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname = ANY(%s) AND (p.provolatile = 'v' OR n.nspname <> 'pg_catalog' OR p.proname LIKE '%%to_xml%%')
        ORDER BY 1
        """,
        [sorted(named)],
    )
    _refuse(name for (name,) in cursor.fetchall() if name not in _HARMLESS)


def _refuse(found: Iterable[str]) -> None:
    for name in found:
        raise ConfigError(f"the query may only read the registry and compute with what it reads: {name!r} is refused")
