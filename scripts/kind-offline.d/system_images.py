"""Writes the archive that `kind build node-image --type file` takes: Kubernetes' programs, and every image that a node starts with.

kind fetches what the archive lacks, so that an archive with all of it needs no registry.

usage: system_images.py CONTROL-PLANE-SET KIND-SET USERLAND.tar OUT.tar.gz
"""

import gzip
import io
import pathlib
import re
import subprocess
import sys
import tarfile

import archive

# kind reads the images of the control plane from one archive each; the last one may hold any others.
MAIN = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"]


def names(kubeadm, version, node):
    """Full names of the images that kubeadm wants, by the last part of their repository; the pause image is the one that containerd wants."""
    listed = subprocess.run(
        [kubeadm, "config", "images", "list", "--kubernetes-version", version],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    found = {name.rpartition(":")[0].rpartition("/")[2]: name for name in listed}
    sandbox = re.search(r'sandbox_image\s*=\s*"(.+?)"', (node / "etc/containerd/config.toml").read_text())
    found["pause"] = sandbox.group(1)
    return found


def unused(share):
    """Names of the images of kind's own network and storage, which its builder insists on and which never run here."""
    text = "".join((share / file).read_text() for file in ("const_cni.go", "const_storage.go"))
    found = re.findall(r'^const \w+Image = "(.+?)"', text, re.MULTILINE)
    if len(found) != 3:
        raise SystemExit(f"this kind names {len(found)} images of its own instead of 3: {found}")
    return found


def main(control_plane, kind, userland, out):
    control_plane, kind = pathlib.Path(control_plane), pathlib.Path(kind)
    share = kind / "share"
    version = subprocess.run(
        [kind / "bin/kubeadm", "version", "-o", "short"], check=True, capture_output=True, text=True
    ).stdout.strip()
    name = names(kind / "bin/kubeadm", version, share / "node")
    base = archive.Layer(userland)

    def program(key, path, below=(), at="usr/local/bin/", **more):
        layer = archive.Layer.of({at + path.name: path, "tmp": archive.Directory(0o1777)})
        return archive.Image([name[key]], [*below, layer], ["/" + at + path.name], **more)

    pause = archive.Layer.of({"pause": kind / "bin/pause"})
    images = {
        "kube-apiserver": program("kube-apiserver", control_plane / "bin/kube-apiserver"),
        "kube-controller-manager": program("kube-controller-manager", control_plane / "bin/kube-controller-manager"),
        "kube-scheduler": program("kube-scheduler", kind / "bin/kube-scheduler"),
        "kube-proxy": program("kube-proxy", control_plane / "bin/kube-proxy", [base]),
        "etcd": program("etcd", control_plane / "bin/etcd"),
        "coredns": program("coredns", control_plane / "bin/coredns", at=""),
        "pause": archive.Image([name["pause"], *unused(share)], [pause], ["/pause"], user="65535:65535"),
    }
    name["podnet"] = "docker.io/local/podnet:dev"
    images["podnet"] = program("podnet", kind / "bin/podnet", [base])

    # Level 0: the archive is read once and then removed.
    with gzip.open(out, "wb", compresslevel=0) as file, tarfile.open(fileobj=file, mode="w|") as tar:
        add(tar, "kubernetes/version", version.encode())
        for binary in ("kubeadm", "kubelet", "kubectl"):
            add(tar, f"kubernetes/server/bin/{binary}", (kind / "bin" / binary).read_bytes(), 0o755)
        for main in MAIN:
            held = [images.pop(main)]
            if main == MAIN[-1]:
                held += images.values()
            buffer = io.BytesIO()
            archive.write(buffer, held)
            add(tar, f"kubernetes/server/bin/{main}.tar", buffer.getvalue())


def add(tar, name, contents, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(contents), mode
    tar.addfile(info, io.BytesIO(contents))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
