"""The database's schema, as numbered steps.  A step that has landed never changes: add the next one."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE layers (
        chain_id TEXT PRIMARY KEY,
        diff_id  TEXT NOT NULL,
        parent   TEXT REFERENCES layers(chain_id),
        size     INTEGER NOT NULL,           -- bytes of the uncompressed tar
        created  REAL NOT NULL               -- seconds since the epoch, as all times here
    );
    CREATE INDEX layers_parent ON layers(parent);
    CREATE TABLE layer_blobs (               -- compressed forms that are known of a layer's tar
        digest     TEXT PRIMARY KEY,
        diff_id    TEXT NOT NULL,
        media_type TEXT NOT NULL,
        size       INTEGER NOT NULL,
        canonical  INTEGER NOT NULL DEFAULT 0 -- 1: made here from the extracted layer, can be made again
    );
    CREATE INDEX layer_blobs_diff ON layer_blobs(diff_id);
    CREATE TABLE blob_sources (              -- repositories that hold a blob: a push can mount it from there
        digest     TEXT NOT NULL,
        repository TEXT NOT NULL,            -- domain/path
        PRIMARY KEY (digest, repository)
    ) WITHOUT ROWID;
    CREATE TABLE images (
        id        TEXT PRIMARY KEY,          -- digest of the config
        manifest  TEXT NOT NULL,             -- digest of the manifest as pulled or made
        chain_id  TEXT REFERENCES layers(chain_id),
        size      INTEGER NOT NULL,          -- sum of its layers' sizes
        platform  TEXT NOT NULL,
        created   REAL NOT NULL,             -- from the config; 0 when it says nothing
        added     REAL NOT NULL
    );
    CREATE INDEX images_chain ON images(chain_id);
    CREATE TABLE image_references (          -- tags
        reference TEXT PRIMARY KEY,          -- canonical: domain/path:tag
        image_id  TEXT NOT NULL REFERENCES images(id)
    ) WITHOUT ROWID;
    CREATE INDEX image_references_image ON image_references(image_id);
    CREATE TABLE repository_digests (        -- manifest or index digests by which a repository knows an image
        repository TEXT NOT NULL,            -- domain/path
        digest     TEXT NOT NULL,
        image_id   TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        PRIMARY KEY (repository, digest)
    ) WITHOUT ROWID;
    CREATE TABLE containers (
        id       TEXT PRIMARY KEY,           -- 64 hex digits
        name     TEXT NOT NULL UNIQUE,
        image_id TEXT REFERENCES images(id),
        chain_id TEXT REFERENCES layers(chain_id),
        config   TEXT NOT NULL,              -- model.container.ContainerConfig as JSON
        driver   TEXT NOT NULL,              -- storage driver
        id_base  INTEGER UNIQUE,             -- first host uid/gid of its range; NULL: no user namespace
        created  REAL NOT NULL
    );
    CREATE INDEX containers_image ON containers(image_id);
    CREATE INDEX containers_chain ON containers(chain_id);
    CREATE TABLE volumes (
        name      TEXT PRIMARY KEY,
        driver    TEXT NOT NULL DEFAULT 'local',
        labels    TEXT NOT NULL DEFAULT '{}',
        options   TEXT NOT NULL DEFAULT '{}',
        anonymous INTEGER NOT NULL DEFAULT 0,
        filled    INTEGER NOT NULL DEFAULT 0, -- 1 once the image's content was copied up, or never will be
        created   REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE container_volumes (
        container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        volume       TEXT NOT NULL REFERENCES volumes(name),
        PRIMARY KEY (container_id, volume)
    ) WITHOUT ROWID;
    CREATE TABLE networks (
        id      TEXT PRIMARY KEY,
        name    TEXT NOT NULL UNIQUE,
        driver  TEXT NOT NULL,
        config  TEXT NOT NULL,               -- model.network.NetworkDefinition as JSON
        created REAL NOT NULL
    );
    CREATE TABLE leases (                    -- one holder per address, kept until the container goes
        network_id   TEXT NOT NULL REFERENCES networks(id),
        address      INTEGER NOT NULL,       -- IPv4 as a number
        container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        mac          TEXT NOT NULL,
        PRIMARY KEY (network_id, address),
        UNIQUE (network_id, container_id)
    ) WITHOUT ROWID;
    CREATE TABLE published_ports (           -- held while the container runs; a dead holder's row may be taken over
        host_ip        TEXT NOT NULL,
        host_port      INTEGER NOT NULL,
        protocol       TEXT NOT NULL,
        container_id   TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        container_port INTEGER NOT NULL,
        PRIMARY KEY (protocol, host_port, host_ip)
    ) WITHOUT ROWID;
    CREATE INDEX published_ports_container ON published_ports(container_id);
    CREATE TABLE build_cache (
        key       TEXT PRIMARY KEY,          -- digest of what the step depends on
        chain_id  TEXT REFERENCES layers(chain_id),
        config    TEXT NOT NULL,             -- what the step changes in the image, as the builder stores it
        created   REAL NOT NULL,
        used      REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX build_cache_chain ON build_cache(chain_id);
    CREATE TABLE settings (                  -- of this state root: storage driver, default network
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE events (
        id         INTEGER PRIMARY KEY,
        time       REAL NOT NULL,
        kind       TEXT NOT NULL,            -- container, image, volume, network
        action     TEXT NOT NULL,
        actor      TEXT NOT NULL,
        attributes TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE layers ADD COLUMN boot TEXT; -- the boot that wrote it, until its files are synced; then NULL
    """,
    """
    ALTER TABLE volumes ADD COLUMN moved_from TEXT; -- the name that its directory still may have: it is being renamed
    """,
    """
    CREATE TABLE leases6 (                   -- as leases, of networks that have IPv6 besides
        network_id   TEXT NOT NULL REFERENCES networks(id),
        address      TEXT NOT NULL,          -- in its short form
        container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        PRIMARY KEY (network_id, address),
        UNIQUE (network_id, container_id)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE container_images (          -- images that a container mounts, or may come back to while it is edited
        container_id TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
        image_id     TEXT NOT NULL REFERENCES images(id),
        PRIMARY KEY (container_id, image_id)
    ) WITHOUT ROWID;
    CREATE INDEX container_images_image ON container_images(image_id);
    """,
    """
    CREATE TABLE take_overs (                -- containers that took over names, ports and aliases
        container_id TEXT PRIMARY KEY REFERENCES containers(id) ON DELETE CASCADE,
        old_id       TEXT NOT NULL,          -- from this one, which may be gone; '' from none
        incoming     TEXT NOT NULL,          -- the name that it had until then
        pending      INTEGER NOT NULL        -- 1 until firewall, names and supervisors are as the rows say
    ) WITHOUT ROWID;
    CREATE TABLE releases (                  -- of applications that were deployed here, the last ones
        app    TEXT NOT NULL,
        number INTEGER NOT NULL,
        record TEXT NOT NULL,                -- JSON
        PRIMARY KEY (app, number)
    ) WITHOUT ROWID;
    """,
)
