-- Intents: what was to be agreed with a created record; and updates that are under way, field by field.
ALTER TABLE intent
    ADD COLUMN base         bytea,
    ADD COLUMN record_name  text NOT NULL DEFAULT '',
    ADD COLUMN changes      json;
