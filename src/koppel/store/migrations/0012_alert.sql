-- What people were told is wrong, until it is right again.
CREATE TABLE alert (
    mapping text NOT NULL,
    kind text NOT NULL,
    message text NOT NULL,
    raised timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (mapping, kind)
);
