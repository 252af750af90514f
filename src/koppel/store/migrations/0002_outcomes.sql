-- Creations that were sent, or were about to be, and of which it is not known yet what became of them.
CREATE TABLE intent (
    mapping      text        NOT NULL,
    side         text        NOT NULL,
    source_id    text        NOT NULL,
    intended_id  text        NOT NULL DEFAULT '',
    identity     json        NOT NULL,
    job          bigint,
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (mapping, side, source_id)
);

-- Fields that wait until the record they refer to is coupled.
CREATE TABLE pending (
    mapping              text        NOT NULL,
    business_central_id  uuid        NOT NULL,
    dataverse_id         uuid        NOT NULL,
    field                text        NOT NULL,
    via                  text        NOT NULL,
    refers_by            text        NOT NULL CHECK (refers_by IN ('key', 'business_central', 'dataverse', 'option', 'rule')),
    reference            text        NOT NULL,
    since                timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mapping, business_central_id, field)
);

-- Codes of Business Central and options of a Dataverse choice column.
CREATE TABLE option_coupling (
    mapping              text        NOT NULL,
    business_central_id  uuid        NOT NULL,
    code                 text        NOT NULL,
    value                integer     NOT NULL,
    label                text        NOT NULL DEFAULT '',
    created_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT option_business_central PRIMARY KEY (mapping, business_central_id),
    CONSTRAINT option_dataverse UNIQUE (mapping, value)
);

CREATE TABLE failure (
    mapping      text        NOT NULL,
    side         text        NOT NULL,
    record_id    text        NOT NULL,
    record_name  text        NOT NULL DEFAULT '',
    direction    text        NOT NULL,
    kind         text        NOT NULL,
    code         text        NOT NULL DEFAULT '',
    field        text        NOT NULL DEFAULT '',
    value        text        NOT NULL DEFAULT '',
    message      text        NOT NULL,
    remedy       text        NOT NULL DEFAULT '',
    version      text        NOT NULL DEFAULT '',
    digest       text        NOT NULL DEFAULT '',
    job          bigint,
    attempts     integer     NOT NULL DEFAULT 1,
    state        text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'skipped')),
    first_at     timestamptz NOT NULL DEFAULT now(),
    last_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mapping, side, record_id)
);
CREATE INDEX failure_job ON failure (job);
CREATE INDEX coupling_skipped ON coupling (mapping) WHERE state = 'skipped';

CREATE TABLE conflict (
    id                           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mapping                      text        NOT NULL,
    business_central_id          uuid        NOT NULL,
    dataverse_id                 uuid        NOT NULL,
    field                        text        NOT NULL,
    record_name                  text        NOT NULL DEFAULT '',
    base                         json,
    business_central             json,
    dataverse                    json,
    business_central_version     text        NOT NULL DEFAULT '',
    dataverse_version            text        NOT NULL DEFAULT '',
    business_central_modified_at text        NOT NULL DEFAULT '',
    business_central_modified_by text        NOT NULL DEFAULT '',
    dataverse_modified_at        text        NOT NULL DEFAULT '',
    dataverse_modified_by        text        NOT NULL DEFAULT '',
    job                          bigint,
    decision                     text        CHECK (decision IN ('business_central', 'dataverse')),
    opened_at                    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (mapping, business_central_id, dataverse_id, field)
);

-- Every write, field by field: what "koppel undo" takes back and "koppel history" shows.
CREATE TABLE history (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job          bigint      NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    mapping      text        NOT NULL,
    side         text        NOT NULL,
    record_id    text        NOT NULL,
    record_name  text        NOT NULL DEFAULT '',
    action       text        NOT NULL,
    field        text        NOT NULL DEFAULT '',
    old          json,
    new          json,
    why          text        NOT NULL DEFAULT ''
);
CREATE INDEX history_job ON history (job, id);
CREATE INDEX history_record ON history (record_id, id);
CREATE INDEX history_at ON history USING brin (at);
