"""Which file system a path is on: SQLite's write-ahead log loses rows on those that several hosts share."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["file_system", "is_shared"]

_SHARED = frozenset(
    {
        *(
            "9p",
            "acfs",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "exafs",
            "gfs",
            "gfs2",
            "glusterfs",
            "gpfs",
            "lustre",
            "mmfs",
            "ncpfs",
            "nfs",
            "nfs4",
        ),
        *("ocfs2", "orangefs", "panfs", "pvfs2", "quobyte", "smb3", "smbfs", "virtiofs", "wekafs"),
    }
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def file_system(path: Path, mountinfo: str | None = None) -> str:
    """Return the type of the file system that holds `path` (which need not exist), or "" if that cannot be known.

    Parameters
    ----------
    path
        A file or folder.
    mountinfo
        The text of ``/proc/self/mountinfo`` (man 5 proc); None reads it.
    """
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    place = path.absolute().resolve()
    found, depth = "", -1
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after:
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # Of two mounts on one point the later one hides the earlier.
        if place.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split()[0], len(point.parts)
    return found


def is_shared(kind: str) -> bool:
    """Say whether other hosts may see files of this kind of file system, as far as its name tells."""
    return kind.lower() in _SHARED or kind.lower().startswith("fuse.")
