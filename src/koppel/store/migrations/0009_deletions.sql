-- Intents: deletions that are under way, and what the record holds that is to be deleted.
ALTER TABLE intent
    ADD COLUMN kind  text NOT NULL DEFAULT 'create' CHECK (kind IN ('create', 'update', 'delete')),
    ADD COLUMN held  json,
    ADD COLUMN why   text NOT NULL DEFAULT '';
UPDATE intent SET kind = 'update' WHERE changes IS NOT NULL;
