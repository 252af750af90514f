-- Pairs that were taken apart because one record was deleted: should it come back, it is known whose partner it was.
CREATE TABLE parting (
    mapping      text        NOT NULL,
    side         text        NOT NULL,
    gone_id      uuid        NOT NULL,
    survivor_id  uuid        NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mapping, side, gone_id)
);
CREATE INDEX parting_survivor ON parting (mapping, survivor_id);
