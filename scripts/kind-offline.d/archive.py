"""Container images as archives, in the form that `docker save` writes, made of files and tar archives without any engine."""

import hashlib
import io
import json
import os
import tarfile
import tempfile

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Layer:
    """An uncompressed tar archive on disk, known by its SHA-256."""

    def __init__(self, path):
        self.path = path
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        self.digest = digest.hexdigest()

    @classmethod
    def of(cls, entries):
        """A layer of entries {path in the image: bytes, Path of a file here, Directory or Link}. The same entries give the same layer."""
        with (
            tempfile.NamedTemporaryFile(prefix="layer-", suffix=".tar", delete=False) as made,
            tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar,
        ):
            parents = set()
            for at in sorted(entries):
                for parent in reversed(_parents(at)):
                    if parent not in parents and parent not in entries:
                        tar.addfile(_info(parent, tarfile.DIRTYPE, 0o755))
                    parents.add(parent)
                _add(tar, at, entries[at])
        return cls(made.name)


class Directory:
    def __init__(self, mode=0o755):
        self.mode = mode


class Link:
    def __init__(self, to):
        self.to = to


class Image:
    """Layers and how a container of them starts."""

    def __init__(self, names, layers, entrypoint=None, env=(), user="", **more):
        self.names, self.layers = list(names), list(layers)
        config = {"Env": [PATH, *env], "WorkingDir": "/", **more}
        if entrypoint:
            config["Entrypoint"] = list(entrypoint)
        if user:
            config["User"] = user
        self.config = json.dumps(
            {
                "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
                "os": "linux",
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer.digest for layer in self.layers]},
            },
            sort_keys=True,
        ).encode()
        self.id = hashlib.sha256(self.config).hexdigest()


def write(file, images):
    """Writes an archive of all images to a file object that need not seek; a layer that several share is in it once.

    The list of names comes first: kind takes the names from whichever list it meets first, and from `manifest.json` only those of
    the first image.
    """
    names = {}
    for image in images:
        for name in image.names:
            repository, _, tag = name.rpartition(":")
            names.setdefault(repository, {})[tag] = image.id
    manifest = [
        {
            "Config": image.id + ".json",
            "RepoTags": image.names,
            "Layers": [layer.digest + ".tar" for layer in image.layers],
        }
        for image in images
    ]
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "repositories", json.dumps(names).encode(), 0o644)
        _add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)
        for name, config in {image.id + ".json": image.config for image in images}.items():
            _add(tar, name, config, 0o644)
        for digest, path in {layer.digest: layer.path for image in images for layer in image.layers}.items():
            info = _info(digest + ".tar", tarfile.REGTYPE, 0o644)
            info.size = os.path.getsize(path)
            with open(path, "rb") as layer:
                tar.addfile(info, layer)


def member(archive, name):
    """Contents of one file of a tar archive."""
    with tarfile.open(archive) as tar:
        for candidate in (name, "./" + name):
            try:
                return tar.extractfile(candidate).read()
            except KeyError:
                continue
    raise SystemExit(f"{archive} has no {name}")


def _parents(at):
    found = []
    while "/" in at:
        at = at.rpartition("/")[0]
        found.append(at)
    return found


def _info(name, kind, mode):
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, mode
    return info


def _add(tar, at, what, mode=None):
    if isinstance(what, Directory):
        tar.addfile(_info(at, tarfile.DIRTYPE, what.mode))
    elif isinstance(what, Link):
        info = _info(at, tarfile.SYMTYPE, 0o777)
        info.linkname = what.to
        tar.addfile(info)
    elif isinstance(what, bytes):
        info = _info(at, tarfile.REGTYPE, mode or 0o644)
        info.size = len(what)
        tar.addfile(info, io.BytesIO(what))
    else:
        info = _info(at, tarfile.REGTYPE, mode or 0o755)
        info.size = os.path.getsize(what)
        with open(what, "rb") as file:
            tar.addfile(info, file)
