"""How many bytes of memory this process may still take: by its cgroups and by the machine."""

from __future__ import annotations

from pathlib import Path

# Version of cgroups: its memory's folder, and the files of limit, usage and details.
V1 = ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
V2 = ("", "memory.max", "memory.current")


def free(root: str | Path = "/") -> int | None:
    """The least that a cgroup around this process or the machine has to give; None where no file
    tells. What the page cache could give back counts as free."""
    root = Path(root)
    found = [_available(root / "proc/meminfo")]
    for folder, limit, usage in _cgroups(root):
        found.append(_left(folder, limit, usage))
    known = [size for size in found if size is not None]
    return max(0, min(known)) if known else None


def _cgroups(root: Path):
    """The folders of this process's memory cgroups, from its own up to the mount's."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        name, *files = V1 if controllers else V2
        mount = root / "sys/fs/cgroup" / name
        # In a container the path may be the host's: then only the mount itself is there.
        folder = mount / path.strip("/")
        for place in (folder, *folder.parents):
            yield (place, *files)
            if place == mount:
                break


def _left(folder: Path, limit: str, usage: str) -> int | None:
    try:
        most = int((folder / limit).read_text())  # ValueError for `max`, which is no limit
        used = int((folder / usage).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        details = dict(line.split() for line in lines)
        return most - used + int(details.get("inactive_file", 0))
    except (OSError, ValueError):
        return None


def _available(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                return 1024 * int(rest.split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return None
