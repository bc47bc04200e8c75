"""Writes the archive of Istio's images that `kind load image-archive` takes: HUB/pilot:TAG and HUB/proxyv2:TAG.

usage: istio_images.py CONTROL-PLANE-SET ENVOY-SET ENVOY-VERSION USERLAND.tar HUB TAG OUT.tar
"""

import pathlib
import sys

import archive

ISTIO = "1337"  # user and group that Istio's pods ask for
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


def users(userland):
    """The userland's users and groups with the one that the proxy runs as."""
    return {
        "etc/passwd": archive.member(userland, "etc/passwd")
        + f"istio-proxy:x:{ISTIO}:{ISTIO}::/home/istio-proxy:/bin/false\n".encode(),
        "etc/group": archive.member(userland, "etc/group") + f"istio-proxy:x:{ISTIO}:\n".encode(),
    }


def main(control_plane, envoy, envoy_version, userland, hub, tag, out):
    control_plane, envoy = pathlib.Path(control_plane), pathlib.Path(envoy)
    writable = {"tmp": archive.Directory(0o1777)}
    pilot = archive.Layer.of(
        {
            **writable,
            AUTHORITIES: archive.member(userland, AUTHORITIES),
            "usr/local/bin/pilot-discovery": control_plane / "bin/pilot-discovery",
        }
    )
    proxy = archive.Layer.of(
        {
            **writable,
            **users(userland),
            "home/istio-proxy": archive.Directory(0o777),
            "usr/local/bin/pilot-agent": control_plane / "bin/pilot-agent",
            "usr/local/bin/envoy": envoy / "bin/envoy",
            "var/lib/istio/envoy/envoy_bootstrap_tmpl.json": (
                control_plane / "share/envoy_bootstrap.json"
            ).read_bytes(),
        }
    )
    images = [
        archive.Image([f"{hub}/pilot:{tag}"], [pilot], ["/usr/local/bin/pilot-discovery"], user=f"{ISTIO}:{ISTIO}"),
        archive.Image(
            [f"{hub}/proxyv2:{tag}"],
            [archive.Layer(userland), proxy],
            ["/usr/local/bin/pilot-agent"],
            env=[f"ISTIO_META_ISTIO_PROXY_SHA=envoy-{envoy_version}"],
        ),
    ]
    with open(out, "wb") as file:
        archive.write(file, images)


if __name__ == "__main__":
    if len(sys.argv) != 8:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
