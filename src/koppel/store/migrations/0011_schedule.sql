-- When mappings run by themselves, and which of their records a system told of. What a person did not set (NULL) the
-- mapping's file says.
CREATE TABLE schedule (
    mapping text PRIMARY KEY,
    state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'on hold', 'inactive', 'error')),
    every text,
    inactivity integer,
    next_run timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    job bigint,
    last_run timestamptz,
    looked timestamptz,
    message text NOT NULL DEFAULT ''
);

CREATE TABLE notice (
    mapping text NOT NULL,
    side text NOT NULL,
    record text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (mapping, side, record)
);
