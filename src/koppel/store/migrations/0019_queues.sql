-- In which queue a mapping waits for a worker: NULL, as its file says. From which one a job was taken; '' by hand.
ALTER TABLE schedule ADD COLUMN queue text;
ALTER TABLE job ADD COLUMN queue text NOT NULL DEFAULT '';

-- Workers, and when they gave the last sign of life. Worth nothing once they are gone. They serve all queues (NULL) or some.
CREATE UNLOGGED TABLE worker (
    process     integer     PRIMARY KEY,
    host        text        NOT NULL,
    number      integer     NOT NULL,
    queues      text[],
    concurrency integer     NOT NULL,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen        timestamptz NOT NULL DEFAULT clock_timestamp()
);
