"""Installs what the rivals need into target/tools, once, each by its registry's ordinary client."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TOOLS = TARGET / "tools"

# A registry that does not answer for so long is away. The compiler of better-sqlite3 takes two minutes of it.
INSTALL_LIMIT_S = 900

# What every Debian has, and what must never come from a second C library beside the system's.
FROM_THE_SYSTEM = {"libc6", "libgcc-s1", "libstdc++6", "gcc-12-base", "gcc-14-base", "dpkg", "debconf"}


class Missing(Exception):
    """A tool is neither there nor installable; the text says what to do."""


def python_package(package: str, version: str, also: tuple[str, ...] = ()) -> Path:
    """The folder of a Python package and what it depends on, for `sys.path`."""
    wanted = [f"{package}=={version}", *also]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
           "--no-warn-script-location", "--root-user-action=ignore", "--target"]
    return _installed(f"python-{package}-{version}", lambda folder: _run([*pip, str(folder), *wanted]))


def node_packages(name: str, packages: list[str]) -> Path:
    """The folder that holds `node_modules` with these packages."""
    npm = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix"]
    return _installed(f"node-{name}", lambda folder: _run([*npm, str(folder), *packages]))


def debian_packages(name: str, packages: list[str]) -> Path:
    """A folder with these packages and what they need unpacked in it, as far as the system has not got it installed.

    Nothing is installed or started on the system itself: a database that somebody runs there is left alone.
    """
    return _installed(f"debian-{name}", lambda folder: _unpack(folder, packages))


def program(folder: Path, name: str) -> Path:
    """A program in an unpacked folder, or else the system's own."""
    places = [folder / "usr/bin", folder / "usr/local/bin", *map(Path, sorted(glob.glob(f"{folder}/usr/lib/postgresql/*/bin")))]
    places += [*map(Path, sorted(glob.glob("/usr/lib/postgresql/*/bin"))), Path("/usr/bin")]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise Missing(f"{name} is neither in {folder.name} nor on this system: install its Debian package")


def environment(folder: Path) -> dict[str, str]:
    """The environment for programs out of an unpacked folder: they find their libraries there."""
    libraries = {str(Path(path).parent) for path in glob.glob(f"{folder}/usr/lib/**/*.so*", recursive=True)}
    old = os.environ.get("LD_LIBRARY_PATH", "")
    return {**os.environ, "LD_LIBRARY_PATH": ":".join([*sorted(libraries), *filter(None, [old])])}


def _installed(name: str, install) -> Path:
    done = TOOLS / name
    if done.is_dir():
        return done
    TOOLS.mkdir(parents=True, exist_ok=True)
    unfinished = TOOLS / f"{name}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    print(f"installing {name} into target/tools, once", file=sys.stderr, flush=True)
    install(unfinished)
    # Renamed only when it is whole: a run that was killed leaves a `.new` folder, which the next one clears away.
    unfinished.rename(done)
    return done


def _run(command: list[str], **more) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, **more)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not on PATH, and installing {command[-1]} needs it") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Missing(f"{command[-1]} could not be installed by {command[0]} ({done.returncode}): {said}")
    return done.stdout


def _unpack(folder: Path, packages: list[str]) -> None:
    flags = [f"--no-{what}" for what in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    needed = _run(["apt-cache", "depends", "--recurse", *flags, *packages]).splitlines()
    # Lines that begin with a name are packages; names in angle brackets are virtual and have another line of their own.
    needed = [line for line in needed if line[:1].isalnum() and ":i386" not in line]
    if not set(packages) <= set(needed):
        raise Missing(f"Debian has no {', '.join(packages)} in its lists here: run `apt-get update` first")
    status = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"], capture_output=True, text=True)
    there = {line.split()[0] for line in status.stdout.splitlines() if line.endswith(" installed")}
    absent = [name for name in needed if name not in there | FROM_THE_SYSTEM]
    if absent:
        _run(["apt-get", "download", "-o", "APT::Sandbox::User=root", *absent], cwd=folder)
    for archive in sorted(folder.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(folder)])
        archive.unlink()
