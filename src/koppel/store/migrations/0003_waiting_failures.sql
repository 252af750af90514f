-- What a failed record waits for, where it is another record's coupling; and when the next try is due at the earliest.
ALTER TABLE failure
    ADD COLUMN via text NOT NULL DEFAULT '',
    ADD COLUMN refers_by text NOT NULL DEFAULT '',
    ADD COLUMN reference text NOT NULL DEFAULT '',
    ADD COLUMN next_try timestamptz;
