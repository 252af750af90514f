-- Which records belong together, and on which values they last agreed.
CREATE TABLE coupling (
    mapping                   text        NOT NULL,
    business_central_id       uuid        NOT NULL,
    dataverse_id              uuid        NOT NULL,
    business_central_key      text        NOT NULL DEFAULT '',
    business_central_version  text        NOT NULL DEFAULT '',
    dataverse_version         text        NOT NULL DEFAULT '',
    base                      bytea,
    state                     text        NOT NULL DEFAULT 'active',
    initial                   text        NOT NULL DEFAULT '',
    created_at                timestamptz NOT NULL DEFAULT now(),
    synced_at                 timestamptz,
    job                       bigint,
    CONSTRAINT coupling_business_central PRIMARY KEY (mapping, business_central_id),
    CONSTRAINT coupling_dataverse UNIQUE (mapping, dataverse_id)
-- Half of each page is left free: a coupling is written a second time soon, when the version of what was created is
-- known, and finds room beside its first form then, so that no index has to be written again.
) WITH (fillfactor = 50);
ALTER TABLE coupling ALTER COLUMN base SET STORAGE EXTERNAL;
CREATE INDEX coupling_key ON coupling (mapping, business_central_key);

-- Field lists and dictionaries by which bases were written: never changed, only added to.
CREATE TABLE base_fields (
    mapping  text    NOT NULL,
    version  integer NOT NULL CHECK (version BETWEEN 1 AND 65535),
    fields   text[]  NOT NULL,
    PRIMARY KEY (mapping, version)
);

CREATE TABLE base_dictionary (
    mapping  text    NOT NULL,
    version  integer NOT NULL CHECK (version BETWEEN 1 AND 65535),
    content  bytea   NOT NULL,
    PRIMARY KEY (mapping, version)
);

-- Where the reading of changes goes on, and for which mapping and filter that is true.
CREATE TABLE cursor (
    mapping   text        NOT NULL,
    side      text        NOT NULL,
    position  text        NOT NULL,
    digest    text        NOT NULL,
    moved_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mapping, side)
);

CREATE TABLE job (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text        NOT NULL,
    mappings  text[]      NOT NULL,
    started   timestamptz NOT NULL DEFAULT now(),
    finished  timestamptz,
    status    text        NOT NULL DEFAULT 'running',
    counters  jsonb       NOT NULL DEFAULT '{}',
    requests  bigint      NOT NULL DEFAULT 0,
    message   text        NOT NULL DEFAULT '',
    host      text        NOT NULL,
    process   integer     NOT NULL
);
CREATE INDEX job_running ON job (id) WHERE status = 'running';

CREATE TABLE job_message (
    job      bigint      NOT NULL REFERENCES job ON DELETE CASCADE,
    number   integer     GENERATED ALWAYS AS IDENTITY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    level    text        NOT NULL,
    mapping  text        NOT NULL DEFAULT '',
    text     text        NOT NULL,
    PRIMARY KEY (job, number)
);
