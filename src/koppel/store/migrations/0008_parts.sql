-- Records whose parts (the lines of a document) are still to be sent, by the mapping of the parts.
CREATE TABLE part_due (
    mapping              text    NOT NULL,
    business_central_id  uuid    NOT NULL,
    job                  bigint,
    PRIMARY KEY (mapping, business_central_id)
);
