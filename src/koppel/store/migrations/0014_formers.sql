-- Whom a record was coupled with, and by which key that pair was known: should it get another partner, what refers to it
-- has to follow.
CREATE TABLE former (
    mapping               text  NOT NULL,
    side                  text  NOT NULL,
    record_id             uuid  NOT NULL,
    partner_id            uuid  NOT NULL,
    business_central_key  text  NOT NULL DEFAULT '',
    PRIMARY KEY (mapping, side, record_id, partner_id)
);
-- Records of ``via`` that have another partner now, and whose referring records of ``mapping`` were not looked for yet.
CREATE TABLE reference_due (
    mapping     text  NOT NULL,
    via         text  NOT NULL,
    side        text  NOT NULL,
    record_id   uuid  NOT NULL,
    former_id   uuid  NOT NULL,
    former_key  text  NOT NULL DEFAULT '',
    PRIMARY KEY (mapping, via, side, record_id, former_id, former_key)
);
-- The side that leads a field though it did not change: what the other one holds names a partner that it has no more.
ALTER TABLE pending ADD COLUMN leads text NOT NULL DEFAULT '';
