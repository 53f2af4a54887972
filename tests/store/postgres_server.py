"""A PostgreSQL server of its own for the tests: prints its URL when it is ready, and ends when its stdin does.

So it ends with the process that started it, however that ends. It listens on a Unix socket only. The role ``locked``
needs a password to log in (``locked``), and ``stranger`` may not at all.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ACCESS = """
local all locked scram-sha-256
local all stranger reject
local all all trust
"""
SETTINGS = "-c listen_addresses='' -c fsync=off -c lc_messages=C"  # no test pulls the plug of the server
ROLES = "CREATE ROLE locked LOGIN PASSWORD 'locked'; CREATE ROLE stranger LOGIN; CREATE ROLE guest LOGIN;"


def programs(folder: Path) -> Path:
    """The folder of ``initdb`` and ``pg_ctl``: of the package pgserver, else of the system."""
    package = find_spec("pgserver")  # importing it warns, and root would get a new user
    if package is not None and package.origin is not None:
        # Copied, as the user who runs the server may not enter the folder of root's environment.
        site = Path(package.origin).parent.parent
        for part in ("pgserver/pginstall/bin", "pgserver/pginstall/lib", "pgserver/pginstall/share", "pgserver.libs"):
            if (site / part).is_dir():
                shutil.copytree(site / part, folder / part)
        return folder / "pgserver/pginstall/bin"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb") or (system[-1] / "initdb" if system else None)
    if found is None:
        sys.exit("these tests need a PostgreSQL server: pip install pgserver, or the packages of the system")
    return Path(found).resolve().parent


def serve(folder: Path) -> None:
    """Start the server in a folder, print its URL, and stop it at the end of stdin."""
    data = folder / "data"
    bin_folder = programs(folder)
    # PostgreSQL refuses to be run by root.
    user: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    folder.chmod(0o755)
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user["user"])

    def run(name: str, *arguments: object, **more: Any) -> None:
        command = [bin_folder / name, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=sys.stderr, cwd=data, **user, **more)

    run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
    (data / "pg_hba.conf").write_text(ACCESS)
    options = f"-k {data} {SETTINGS}"
    run("pg_ctl", "start", "-D", data, "-w", "-o", options, "-l", data / "log", stdin=subprocess.DEVNULL)
    try:
        run("psql", "-q", "-h", data, "-U", "postgres", "-c", ROLES)
        print(f"postgresql://postgres@/postgres?host={data}", flush=True)
        sys.stdin.read()
    finally:
        run("pg_ctl", "stop", "-D", data, "-m", "immediate")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the server is stopped then, too
    with tempfile.TemporaryDirectory(prefix="cpp-") as name:  # a socket's path must be short
        serve(Path(name))
