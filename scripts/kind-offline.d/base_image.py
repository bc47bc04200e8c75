"""Writes the base image of a node, from the tar archive of its files, to stdout, for `docker load`.

usage: base_image.py NODE.tar NAME
"""

import sys

import archive

if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    files, name = sys.argv[1:]
    # systemd looks for `container`, and ends properly on this signal only.
    image = archive.Image(
        [name],
        [archive.Layer(files)],
        ["/usr/local/bin/entrypoint", "/sbin/init"],
        env=["container=docker"],
        StopSignal="SIGRTMIN+3",
    )
    archive.write(sys.stdout.buffer, [image])
