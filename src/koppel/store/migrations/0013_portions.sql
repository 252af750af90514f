-- Chunks of a run that other workers take a hand in. They are worth nothing without that run, which ends with the server.
CREATE UNLOGGED TABLE split (
    job      bigint PRIMARY KEY REFERENCES job ON DELETE CASCADE,
    leader   integer NOT NULL,
    mapping  text NOT NULL,
    identity text NOT NULL,
    run      bytea NOT NULL
);
CREATE UNLOGGED TABLE portion (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job     bigint NOT NULL REFERENCES split ON DELETE CASCADE,
    work    bytea NOT NULL,
    taken   boolean NOT NULL DEFAULT false,
    refused boolean NOT NULL DEFAULT false,
    outcome bytea
);
-- Compressing what is read once takes longer than writing it.
ALTER TABLE split ALTER run SET STORAGE EXTERNAL;
ALTER TABLE portion ALTER work SET STORAGE EXTERNAL;
CREATE INDEX portion_of_job ON portion (job);
ALTER TABLE intent ADD COLUMN portion bigint NOT NULL DEFAULT 0;
