-- What each process has lately sent by which user, since the systems limit what a user sends. Worth nothing after minutes.
CREATE UNLOGGED TABLE sent (
    process  integer NOT NULL,
    side     text NOT NULL,
    who      integer NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    requests integer NOT NULL,
    seconds  double precision NOT NULL
);
CREATE INDEX sent_at ON sent (at);
