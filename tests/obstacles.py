"""What may stand where a file is read or written, and is none."""

import os
import socket
import stat

KINDS = [
    "folder",
    "link to a folder",
    "link to a file",
    "link to nowhere",
    "pipe",
    "socket",
    "link to a device",
]


def make_kind(kind, path, tmp_path):
    """Puts something that is no regular file at a path."""
    treasure = tmp_path / "treasure"
    treasure.mkdir(exist_ok=True)
    (treasure / "key").write_text("secret")
    (treasure / "explanation.png").write_text("not ours")
    if kind == "folder":
        path.mkdir()
        (path / "key").write_text("secret")
    elif kind == "link to a folder":
        path.symlink_to(treasure)
    elif kind == "link to a file":
        path.symlink_to(treasure / "key")
    elif kind == "link to nowhere":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path may not be long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
        os.chdir(here)
    else:
        path.symlink_to("/dev/zero")


def everything_below(folder):
    """Kinds and contents of all that is there, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else None
        found[path] = stat.S_IFMT(mode), os.readlink(path) if path.is_symlink() else content
    return found
