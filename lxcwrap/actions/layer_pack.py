"""A layer's compressed form, made while others read what has come of it."""

from __future__ import annotations

from lxcwrap.archive import compression
from lxcwrap.archive.growing import CHUNK, Growing
from lxcwrap.archive.pipeline import ahead, behind
from lxcwrap.storage import layers as tars
from lxcwrap.storage.driver import Driver
from lxcwrap.store.database import Store
from lxcwrap.store.layers import Layer


def pack(store: Store, driver: Driver, layer: Layer, content: Growing) -> None:
    """Write the layer's gzip into ``content``; what goes wrong is raised where that is read."""
    try:
        tar = tars.tar(store, driver, layer)
        with tar as stream, ahead(stream) as source, behind(content) as out:
            gzip = compression.gzip_writer(out)
            while chunk := source.read(CHUNK):
                gzip.write(chunk)
            gzip.close()
        content.finish()
    except BaseException as error:  # raised where the content is read
        content.fail(error)
