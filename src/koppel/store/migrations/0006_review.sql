-- The full synchronisation review that was started last: what was decided for each mapping, and how far it has got.
CREATE TABLE review_line (
    mapping     text        PRIMARY KEY,
    place       integer     NOT NULL,
    action      text        NOT NULL CHECK (action IN ('full', 'couple', 'nothing')),
    insisted    boolean     NOT NULL DEFAULT false,
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    job         bigint,
    message     text        NOT NULL DEFAULT '',
    started     timestamptz,
    finished    timestamptz
);

-- Mappings that go on creating what is new after a full synchronisation, though their file says only_coupled.
CREATE TABLE creating (
    mapping  text        PRIMARY KEY,
    since    timestamptz NOT NULL DEFAULT now()
);
